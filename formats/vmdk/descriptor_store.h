// DescriptorStore: where the text of a descriptor lies, and how it changes so that a power cut
// leaves the old text or the new one.
#pragma once

#include <optional>
#include <string>

#include "lib/io/file.h"

namespace platter::vmdk {

// Thread safety: one thread.
class DescriptorStore {
 public:
  // A file of its own.
  explicit DescriptorStore(FilePtr file) : file_(std::move(file)) {}
  // embedded: the bytes of the file that are the text's: whole sectors, at most kMaxArea.
  DescriptorStore(FilePtr file, Range embedded) : file_(std::move(file)), area_(embedded) {}

  static constexpr uint64_t kMaxArea = uint64_t{1} << 20;

  // The text, up to its first NUL; the new one when a change was cut short.
  Result<std::string> read() const;

  // Values of the same length, each of which may be torn and is another value then.
  enum class Torn : unsigned char { never, harmless };
  // Durable when it returns. A sector that changes alone is written alone; otherwise both texts go
  // behind the text first, where read() finds them. Errc::no_space: they do not fit there.
  Result<void> replace(const std::string& text, Torn torn = Torn::never);

 private:
  Result<std::string> read_area() const;
  Result<void> write(uint64_t at, std::string_view bytes);
  Result<void> write_changed_sectors(const std::string& from, const std::string& to);
  Result<void> write_with_copies(const std::string& from, const std::string& text,
                                 const std::string& to);
  Result<void> write_over(const std::string& text, const Range& copies);
  Result<void> cut(uint64_t size);

  const FilePtr file_;
  const std::optional<Range> area_;  // else all of the file
};

}  // namespace platter::vmdk
