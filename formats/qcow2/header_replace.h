// The header, its extensions and the backing file's name, written anew.
#pragma once

#include <string>

#include "formats/qcow2/parse.h"

namespace platter::qcow2 {

struct Backing {
  std::string name;    // at most kMaxBackingName bytes; empty: there is none
  std::string format;  // empty: not said
};

// raw: the header to be; where the backing file's name is and how long, it is told here. backing:
// another one than the old header has; null: that stays. The extensions stay, but for those version
// 2 has no use for. The name, when it does not fit into the first sector, stays where it is or goes
// behind everything, and is synced, before the sector is written. Durable when it returns; a crash
// leaves the old header or the new one. Errc::unsupported, with nothing changed: the extensions do
// not fit into the first sector, or the name not into the first cluster.
Result<void> replace_header(File& file, const Header& header, const RawHeader& raw,
                            const Backing* backing = nullptr);

}  // namespace platter::qcow2
