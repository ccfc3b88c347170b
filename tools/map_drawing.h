// Drawings of a MapPicture: characters for a terminal, SVG for a file.
#pragma once

#include <iosfwd>
#include <string>

#include "lib/container/container.h"
#include "lib/ops/map_picture.h"

namespace platter {

// Lines of columns cells each, and what the signs mean. colours: by layer. pieces: of the disk.
void draw_text(std::ostream& out, const MapPicture& picture, uint64_t pieces, size_t columns,
               bool colours);

// A whole SVG document. Names of files are the chain's.
std::string draw_svg(const MapPicture& picture, uint64_t pieces, const Container& container);

}  // namespace platter
