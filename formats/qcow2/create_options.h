// What a new qcow2 image shall be like, from the options of the command line.
#pragma once

#include <array>
#include <string>

#include "formats/qcow2/parse.h"
#include "lib/crypto/luks1_create.h"
#include "lib/image/format.h"

namespace platter::qcow2 {

// By the names qemu-img gives them.
inline constexpr std::array<OptionSpec, 18> kCreateOptions = {{
    {"cluster_size", "bytes in a cluster, a power of two from 512 to 2M", "64k"},
    {"compat", "version of the format: 0.10 (version 2) or 1.1 (version 3)", "1.1"},
    {"refcount_bits", "width of a refcount: 1, 2, 4, 8, 16, 32 or 64; 16 with compat=0.10", "16"},
    {"lazy_refcounts", "allow refcounts to be written late (on, off)", "off"},
    {"extended_l2", "allocate 32nds of a cluster (on, off); clusters of 16k and more", "off"},
    {"compression_type", "of compressed clusters: zlib or zstd", "zlib"},
    {"window", "how far zlib streams of convert -c look back: 32k, or 4k for readers with no more",
     "32k"},
    {"preallocation", "off, metadata, falloc or full", "off"},
    {.name = "data_file",
     .help = "a new file that gets the data, beside the image",
     .new_file = true},
    {"data_file_raw", "keep the data file readable as a raw disk by itself (on, off)", "off"},
    {"backing_fmt", "format of the parent, as --parent-format", ""},
    {"encrypt.format", "encrypt the data: luks, or aes, which is weak and only for old programs",
     ""},
    {"encrypt.cipher-alg", "of LUKS: aes-128, aes-192 or aes-256", "aes-256"},
    {"encrypt.cipher-mode", "of LUKS: xts, cbc or ecb", "xts"},
    {"encrypt.ivgen-alg", "of LUKS: plain64, plain or essiv", "plain64"},
    {"encrypt.ivgen-hash-alg", "of essiv: sha256", "sha256"},
    {"encrypt.hash-alg", "of LUKS: sha1, sha224, sha256, sha384, sha512 or ripemd160", "sha256"},
    {"encrypt.iter-time", "milliseconds that trying a passphrase takes", "2000"},
}};

enum class Preallocation : unsigned char {
  off,
  metadata,  // every cluster has its place in the file
  falloc,    // and the host keeps space for it
  full,      // zeroes are written there
};

struct Shape {
  uint32_t version = 3;
  uint32_t cluster_bits = 16;
  uint32_t refcount_order = 4;
  uint64_t size = 0;  // of the disk, bytes, whole sectors
  bool lazy_refcounts = false;
  bool extended_l2 = false;
  Compression compression = Compression::deflate;
  std::optional<Effort> compress;  // none: clusters are stored as they are
  bool window_4k = false;          // of deflate streams
  Preallocation preallocation = Preallocation::off;
  std::string data_file;  // as the image names it; empty: data is in the image
  bool data_file_raw = false;
  std::string backing_file, backing_format;  // empty: none
  Encryption encryption = Encryption::none;
  LuksShape luks;  // with Encryption::luks

  uint64_t cluster_size() const { return uint64_t{1} << cluster_bits; }
  uint64_t l2_words() const { return cluster_size() / sizeof(be64); }
  uint64_t words_per_entry() const { return extended_l2 ? 2 : 1; }
  uint64_t l2_entries() const { return l2_words() / words_per_entry(); }
  uint64_t l2_span() const { return cluster_size() * l2_entries(); }  // guest bytes
  uint64_t l1_entries() const;
  uint64_t refcounts_per_block() const { return cluster_size() * 8 >> refcount_order; }
  // What the largest refcount table can count.
  uint64_t max_clusters() const {
    return kMaxRefcountTableBytes / sizeof(be64) * refcounts_per_block();
  }
};

// Errc::invalid when a backing file cannot be called that.
Result<void> check_backing_name(std::string_view name);

// Errc::invalid for what the format cannot have, and for options that exclude one another.
Result<Shape> parse_shape(const CreateRequest& request);

}  // namespace platter::qcow2
