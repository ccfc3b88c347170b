#include <array>
#include <ostream>
#include <set>

#include <fmt/format.h>

#include "lib/base/text.h"
#include "tools/map_drawing.h"

namespace platter {
namespace {

// Of the 256 of a terminal, told apart on black and on white; the layers take turns.
constexpr std::array kTerminalColours = {33, 208, 35, 170, 178, 44};
constexpr int kNothingColour = 244;

struct Sign {
  char character;
  const char* meaning;
};

Sign sign_of(const MapPicture::Share& share) {
  switch (share.kind) {
    case MapKind::data: return share.depth == 0 ? Sign{'#', "data"} : Sign{'+', "data of a parent"};
    case MapKind::compressed: return {'c', "compressed"};
    case MapKind::encrypted: return {'e', "encrypted"};
    case MapKind::zero: return {'0', "zeroes"};
    case MapKind::absent: return {'.', "nowhere"};
  }
  return {'?', ""};
}

int colour_of(const MapPicture::Share& share) {
  return is_stored(share.kind) ? kTerminalColours[share.depth % kTerminalColours.size()]
                               : kNothingColour;
}

// Changes colour only where the next cell has another one.
class Painter {
 public:
  Painter(std::ostream& out, bool colours) : out_(out), colours_(colours) {}
  void cell(const MapPicture::Share& share) {
    const int wanted = colour_of(share);
    if (colours_ && wanted != current_) out_ << fmt::format("\x1b[38;5;{}m", wanted);
    current_ = wanted;
    out_ << sign_of(share).character;
  }
  void end_line() {
    if (colours_ && current_ != kNone) out_ << "\x1b[0m";
    current_ = kNone;
    out_ << '\n';
  }

 private:
  static constexpr int kNone = -1;
  std::ostream& out_;
  const bool colours_;
  int current_ = kNone;
};

}  // namespace

void draw_text(std::ostream& out, const MapPicture& picture, uint64_t pieces, size_t columns,
               bool colours) {
  const auto& cells = picture.cells();
  Painter painter(out, colours);
  std::set<std::pair<char, std::string>> legend;
  for (size_t i = 0; i < cells.size(); ++i) {
    const MapPicture::Share share = cells[i].main();
    const Sign sign = sign_of(share);
    legend.emplace(sign.character, sign.meaning);
    painter.cell(share);
    if ((i + 1) % columns == 0 || i + 1 == cells.size()) painter.end_line();
  }
  if (cells.empty()) return;
  out << fmt::format("each sign {}", human_size(picture.range_of(0).length));
  for (const auto& [character, meaning] : legend) out << fmt::format("  {} {}", character, meaning);
  out << fmt::format("\n{} {}\n", pieces,
                     pieces == 1 ? "piece in its files" : "pieces in its files");
}

}  // namespace platter
