#include "lib/ops/compare.h"

#include <algorithm>
#include <cstring>

#include "lib/ops/in_order.h"
#include "lib/ops/source_disk.h"

namespace platter {
namespace {

constexpr uint64_t kComparedAtOnce = 2 * MiB;

struct Compared {
  Range range;
  std::vector<std::byte> a, b;
  std::optional<uint64_t> difference;
};

class Comparison {
 public:
  Comparison(const SourceDisk& a, const SourceDisk& b, Progress& progress)
      : a_(a), b_(b), progress_(progress) {}

  Result<std::optional<uint64_t>> run(unsigned threads) {
    InOrder<Compared> comparison({.next = [this](Compared& c) { return plan(c); },
                                  .work = [this](Compared& c) { return look(c); },
                                  .use = [this](Compared& c) { return judge(c); }},
                                 threads, 2 * size_t{threads} + 2);
    TRY(comparison.run());
    return difference_;
  }

 private:
  Result<bool> plan(Compared& chunk) {
    while (planned_ < a_.size()) {
      if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
      const SourceDisk::Piece a = TRY(a_.piece_at(planned_));
      const SourceDisk::Piece b = TRY(b_.piece_at(planned_));
      if (!a.hole || !b.hole) break;
      planned_ += std::min(a.range.length, b.range.length);
    }
    if (planned_ >= a_.size()) return false;
    chunk.range = {planned_, std::min(kComparedAtOnce, a_.size() - planned_)};
    planned_ = chunk.range.end();
    return true;
  }

  Result<void> look(Compared& chunk) const {
    chunk.a.resize(chunk.range.length);
    chunk.b.resize(chunk.range.length);
    chunk.difference.reset();
    TRY(a_.read(chunk.range.offset, chunk.a));
    TRY(b_.read(chunk.range.offset, chunk.b));
    if (std::memcmp(chunk.a.data(), chunk.b.data(), chunk.a.size()) == 0) return {};
    const auto [at, ignored] = std::ranges::mismatch(chunk.a, chunk.b);
    chunk.difference = chunk.range.offset + static_cast<uint64_t>(at - chunk.a.begin());
    return {};
  }

  Result<bool> judge(Compared& chunk) {
    if (progress_.cancelled()) return Error(Errc::cancelled, "interrupted");
    progress_.advance(chunk.range.end(), a_.size());
    difference_ = chunk.difference;
    return !difference_;
  }

  const SourceDisk& a_;
  const SourceDisk& b_;
  Progress& progress_;
  uint64_t planned_ = 0;  // only plan(), one thread at a time
  std::optional<uint64_t> difference_;
};

}  // namespace

Result<CompareReport> compare(const CompareArgs& args, Progress& progress) {
  CompareReport report{.sizes_differ = args.a->size() != args.b->size()};
  const uint64_t shorter = std::min(args.a->size(), args.b->size());
  const uint64_t longer = std::max(args.a->size(), args.b->size());
  if (args.strict && report.sizes_differ) {
    report.first_difference = shorter;
    return report;
  }
  const SourceDisk a({args.a}, longer);
  const SourceDisk b({args.b}, longer);
  report.first_difference = TRY(Comparison(a, b, progress).run(std::max(args.threads, 1U)));
  progress.advance(longer, longer);
  return report;
}

}  // namespace platter
