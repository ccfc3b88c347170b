// The header, its extensions and the backing file's name, written anew.
#pragma once

#include "formats/qcow2/parse.h"

namespace platter::qcow2 {

// raw: the header to be, of another version; where the name is and how long, it is told here. The
// extensions stay, but for those version 2 has no use for. The name, when it does not fit into the
// first sector, stays where it is or is copied behind everything, and that synced, before the
// sector is written. Durable when it returns; a crash leaves the old header or the new one.
// Errc::unsupported, with nothing changed: the extensions do not fit into the first sector, or the
// name not into the first cluster.
Result<void> replace_header(File& file, const Header& header, const RawHeader& raw);

}  // namespace platter::qcow2
