// What libfuse and fusermount3 print, brought into our own messages.
#pragma once

#include <string>

namespace platter::fusefs {

// From here on libfuse's messages go to our log.
void log_libfuse();

// Keeps everything written to standard error, by whatever library or child, until taken. Nothing
// is shown in between. One thread.
class StandardErrorCapture {
 public:
  StandardErrorCapture();
  ~StandardErrorCapture();
  StandardErrorCapture(const StandardErrorCapture&) = delete;
  StandardErrorCapture& operator=(const StandardErrorCapture&) = delete;

  // The first line so far, without the program's name before it.
  std::string first_line() const;

 private:
  int kept_ = -1;    // standard error as it was
  int memory_ = -1;  // what stands in for it
};

}  // namespace platter::fusefs
