#include "lib/image/lzfse_codec.h"

#include "lib/base/checked.h"
#include "lib/image/back_reference.h"
#include "lib/image/lzfse_block.h"
#include "lib/image/lzvn.h"

namespace platter {
namespace {

// The kinds of block by their magic, read as le32.
constexpr uint32_t kEndBlock = 0x24787662;     // "bvx$"
constexpr uint32_t kStoredBlock = 0x2d787662;  // "bvx-": its length
constexpr uint32_t kBlockV1 = 0x31787662;      // "bvx1"
constexpr uint32_t kBlockV2 = 0x32787662;      // "bvx2"
constexpr uint32_t kLzvnBlock =
    0x6e787662;  // "bvxn": what it makes, and the length of what follows

struct LzvnHeader {
  le32 magic;
  le32 raw_bytes, payload_bytes;
};
static_assert(sizeof(LzvnHeader) == 12);

class LzfseStream {
 public:
  LzfseStream(Bytes stored, MutableBytes unit) : stored_(stored), unit_(unit) {}

  bool decode() {
    for (;;) {
      if (stored_.size() < sizeof(le32)) return false;
      const uint32_t magic = load<le32>(stored_);
      if (magic == kEndBlock) return at_ == unit_.size();
      if (!block(magic)) return false;
    }
  }

 private:
  bool block(uint32_t magic) {
    switch (magic) {
      case kStoredBlock: return stored_block();
      case kLzvnBlock: return lzvn_block();
      case kBlockV1:
      case kBlockV2: return lzfse_block();
      default: return false;
    }
  }

  bool stored_block() {
    if (stored_.size() < 2 * sizeof(le32)) return false;
    const uint32_t length = load<le32>(stored_, sizeof(le32));
    stored_ = stored_.subspan(2 * sizeof(le32));
    return take_literals(stored_, unit_, at_, length);
  }

  bool lzvn_block() {
    if (stored_.size() < sizeof(LzvnHeader)) return false;
    const auto header = load<LzvnHeader>(stored_);
    stored_ = stored_.subspan(sizeof header);
    if (header.payload_bytes > stored_.size() || header.raw_bytes > unit_.size() - at_) {
      return false;
    }
    const size_t end = at_ + header.raw_bytes;
    const Bytes payload = stored_.first(header.payload_bytes);
    stored_ = stored_.subspan(header.payload_bytes);
    return decode_lzvn(payload, unit_.first(end), at_) && at_ == end;
  }

  bool lzfse_block() {
    thread_local LzfseBlockDecoder decoder;
    const auto header = parse_lzfse_block(stored_);
    if (!header) return false;
    stored_ = stored_.subspan(header->header_bytes);
    const uint64_t streams = uint64_t{header->literal_bytes} + header->match_bytes;
    if (streams > stored_.size()) return false;
    const bool good = decoder.decode(*header, stored_.first(streams), unit_, at_);
    stored_ = stored_.subspan(streams);
    return good;
  }

  Bytes stored_;  // what is left of it
  MutableBytes unit_;
  size_t at_ = 0;  // bytes of the unit that are made
};

class LzfseCodec final : public Codec {
 public:
  Result<void> decode(Bytes stored, MutableBytes unit) const override {
    if (LzfseStream(stored, unit).decode()) return {};
    return Error(Errc::corrupt, "compressed data: its LZFSE stream is damaged");
  }
};

}  // namespace

const Codec& lzfse_codec() {
  static const LzfseCodec codec;
  return codec;
}

}  // namespace platter
