#include "fusefs/libfuse_messages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdarg>
#include <cstdio>

#include "fusefs/fuse_api.h"
#include "lib/base/log.h"

namespace platter::fusefs {
namespace {

void to_log(fuse_log_level level, const char* format, va_list arguments) {
  std::array<char, 512> text;
  vsnprintf(text.data(), text.size(), format, arguments);
  std::string line = text.data();
  while (!line.empty() && line.back() == '\n') line.pop_back();
  if (line.empty()) return;
  if (level <= FUSE_LOG_ERR) {
    log::error("{}", line);
  } else if (level == FUSE_LOG_WARNING) {
    log::warning("{}", line);
  } else {
    log::debug("{}", line);
  }
}

}  // namespace

void log_libfuse() { fuse_set_log_func(to_log); }

StandardErrorCapture::StandardErrorCapture()
    : kept_(dup(STDERR_FILENO)), memory_(memfd_create("stderr", MFD_CLOEXEC)) {
  if (memory_ >= 0) dup2(memory_, STDERR_FILENO);
}

StandardErrorCapture::~StandardErrorCapture() {
  if (kept_ >= 0) {
    dup2(kept_, STDERR_FILENO);
    close(kept_);
  } else {
    close(STDERR_FILENO);
  }
  if (memory_ >= 0) close(memory_);
}

std::string StandardErrorCapture::first_line() const {
  std::array<char, 1024> text;
  const ssize_t n = memory_ < 0 ? 0 : pread(memory_, text.data(), text.size(), 0);
  std::string line(text.data(), n > 0 ? static_cast<size_t>(n) : 0);
  line.resize(std::min(line.find('\n'), line.size()));
  for (const std::string prefix : {"platterfs: ", "fuse: ", "fusermount3: "}) {
    if (line.starts_with(prefix)) line.erase(0, prefix.size());
  }
  return line;
}

}  // namespace platter::fusefs
