#include "lib/io/window_file.h"

#include "lib/base/checked.h"

namespace platter {

Result<FileStat> WindowFile::stat() const {
  FileStat stat = TRY(file_->stat());
  stat.size = intersect(window_, {0, stat.size}).length;
  stat.allocated = std::min(stat.allocated, stat.size);
  stat.start += window_.offset;
  return stat;
}

Result<void> WindowFile::write(uint64_t /*offset*/, Bytes /*data*/) {
  return Error(Errc::read_only, name() + ": this part is read-only");
}

Result<void> WindowFile::resize(uint64_t /*size*/) {
  return Error(Errc::read_only, name() + ": this part is read-only");
}

Result<size_t> WindowFile::read_some(uint64_t offset, MutableBytes out) const {
  if (offset >= window_.length) return size_t{0};
  const size_t n = std::min<uint64_t>(out.size(), window_.length - offset);
  return file_->read_available(window_.offset + offset, out.first(n));
}

Result<File::Run> WindowFile::run_at(uint64_t offset) const {
  if (offset >= window_.length) return past_the_end(offset);
  Run run = TRY(file_->run_at(window_.offset + offset));
  run.range = intersect(run.range, window_);
  run.range.offset -= window_.offset;
  return run;
}

const std::byte* WindowFile::kernel_view(const Range& range) const {
  if (!fits(range.offset, range.length, window_.length)) return nullptr;
  return file_->kernel_view({window_.offset + range.offset, range.length});
}

}  // namespace platter
