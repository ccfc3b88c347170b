// Drawings of a MapPicture: characters for a terminal, SVG for a file.
#pragma once

#include <iosfwd>
#include <string>

#include "lib/container/container.h"
#include "lib/ops/map_picture.h"

namespace platter {

// Lines of columns cells each, and what the signs mean. colours: by layer.
void draw_text(std::ostream& out, const MapPicture& picture, size_t columns, bool colours);

// A whole SVG document. Names of files are the chain's.
std::string draw_svg(const MapPicture& picture, const Container& container);

}  // namespace platter
