#include "tools/progress_line.h"

#include <ostream>

#include <fmt/format.h>

#include "lib/base/text.h"

namespace platter {
namespace {

constexpr std::chrono::milliseconds kInterval{100};
constexpr size_t kBarWidth = 40;

// For numbers that may be near 2^64.
double share_of(uint64_t done, uint64_t total) {
  return total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
}

}  // namespace

ProgressLine::ProgressLine(Console& console)
    : console_(console),
      style_(console.progress_json                       ? Style::json
             : console.err_is_terminal && !console.quiet ? Style::bar
                                                         : Style::none) {}

ProgressLine::~ProgressLine() {
  if (drawn_ && style_ == Style::bar) console_.err << "\r\x1b[K" << std::flush;
}

void ProgressLine::advance(uint64_t done, uint64_t total) {
  if (style_ == Style::none) return;
  const Clock::time_point now = Clock::now();
  if (now < next_ && done < total) return;
  next_ = now + kInterval;
  draw(done, total);
}

void ProgressLine::draw(uint64_t done, uint64_t total) {
  drawn_ = true;
  if (style_ == Style::json) {
    console_.err << fmt::format("{{\"done\":{},\"total\":{}}}\n", done, total) << std::flush;
    return;
  }
  const double share = share_of(done, total);
  const auto filled = static_cast<size_t>(share * kBarWidth);
  console_.err << fmt::format("\r[{:<{}}] {:3.0f}% of {}", std::string(filled, '#'), kBarWidth,
                              share * 100, human_size(total))
               << std::flush;
}

}  // namespace platter
