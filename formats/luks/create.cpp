// Key material first, then the disk, then the header that makes the file an image. What nobody
// writes is written as zeroes: a hole would decrypt to noise.
#include "formats/luks/create.h"

#include <fmt/format.h>

#include "formats/luks/luks_image.h"
#include "lib/base/checked.h"
#include "lib/crypto/luks1_create.h"

namespace platter::luks {
namespace {

class LuksWriter final : public ImageWriter {
 public:
  LuksWriter(FilePtr file, NewLuks luks, uint64_t payload, uint64_t size)
      : file_(std::move(file)), luks_(std::move(luks)), payload_(payload), size_(size) {}

  uint64_t block_size() const override { return 4 * KiB; }

  Result<void> write(uint64_t offset, Bytes data) override {
    if (!fits(offset, data.size(), size_)) return Error(Errc::out_of_range, "outside the disk");
    TRY(zeroes_to(offset));
    buffer_.assign(align_up(data.size(), Cipher::kSector), std::byte{0});
    std::copy(data.begin(), data.end(), buffer_.begin());
    TRY(luks_.cipher->encrypt(offset, buffer_));
    TRY(file_->write(payload_ + offset, buffer_));
    next_ = offset + buffer_.size();
    return {};
  }

  Result<void> zero(const Range& range) override {
    if (!fits(range.offset, range.length, size_)) {
      return Error(Errc::out_of_range, "outside the disk");
    }
    return {};  // written with all that nobody writes
  }

  Result<void> finish() override {
    TRY(zeroes_to(size_));
    TRY(file_->write(luks_.material_offset, luks_.material.bytes()));
    TRY(file_->sync());
    TRY(file_->write(0, luks_.header));
    return file_->sync();
  }

 private:
  Result<void> zeroes_to(uint64_t end) {
    if (end > next_) TRY(write_zeroes(*file_, *luks_.cipher, payload_, {next_, end - next_}));
    next_ = std::max(next_, end);
    return {};
  }

  const FilePtr file_;
  const NewLuks luks_;
  const uint64_t payload_, size_;
  uint64_t next_ = 0;  // all of the disk before it is written
  std::vector<std::byte> buffer_;
};

}  // namespace

Result<ImageWriterPtr> create_image(const CreateRequest& request) {
  const auto value = [&](std::string_view name) -> std::string_view {
    const auto given = request.options.find(name);
    return given == request.options.end() ? std::string_view() : given->second;
  };
  const LuksShape shape = TRY(parse_luks_shape(value));
  // As cryptsetup has it.
  const uint64_t payload = align_up(luks_size(shape), MiB);
  const uint64_t size = align_up(std::min(request.size, kMaxOffset - MiB), Cipher::kSector);
  if (size == 0) return Error(Errc::invalid, "a disk of 0 bytes: it has to hold something");
  if (request.size > kMaxOffset - MiB || !fits(payload, size, kMaxOffset)) {
    return Error(Errc::invalid, fmt::format("a disk of {} bytes is too large", request.size));
  }
  if (request.keys == nullptr) return Error(Errc::no_key, "it needs a passphrase");
  const Bytes passphrase = TRY(request.keys->passphrase(request.file->name()));
  NewLuks luks = TRY(make_luks(shape, payload, passphrase));
  return ImageWriterPtr(std::make_unique<LuksWriter>(request.file, std::move(luks), payload, size));
}

}  // namespace platter::luks
