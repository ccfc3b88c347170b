#include "formats/qcow2/create_options.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include <fmt/format.h>

#include "lib/base/checked.h"
#include "lib/base/text.h"

namespace platter::qcow2 {
namespace {

std::string_view option(const CreateRequest& request, std::string_view name) {
  const auto given = request.options.find(name);
  if (given != request.options.end()) return given->second;
  return std::find_if(kCreateOptions.begin(), kCreateOptions.end(),
                      [&](const OptionSpec& o) { return o.name == name; })
      ->fallback;
}

Error invalid_option(std::string_view name, std::string_view value, std::string_view wanted) {
  return {Errc::invalid, fmt::format("{}={}: {}", name, value, wanted)};
}

Error clash(std::string_view text) { return {Errc::invalid, std::string(text)}; }

Result<bool> switch_of(const CreateRequest& request, std::string_view name) {
  const std::string_view value = option(request, name);
  if (value == "on" || value == "off") return value == "on";
  return invalid_option(name, value, "must be on or off");
}

Result<void> take_sizes(const CreateRequest& request, Shape& shape) {
  const std::string_view cluster = option(request, "cluster_size");
  const uint64_t cluster_size = parse_size(cluster).value_or(0);
  if (!std::has_single_bit(cluster_size) || cluster_size < uint64_t{1} << kMinClusterBits ||
      cluster_size > uint64_t{1} << kMaxClusterBits) {
    return invalid_option("cluster_size", cluster, "must be a power of two from 512 to 2M");
  }
  shape.cluster_bits = static_cast<uint32_t>(std::countr_zero(cluster_size));

  const std::string_view width = option(request, "refcount_bits");
  uint32_t bits = 0;
  const auto [end, fault] = std::from_chars(width.data(), width.data() + width.size(), bits);
  if (fault != std::errc() || end != width.data() + width.size() || !std::has_single_bit(bits) ||
      bits > 1U << kMaxRefcountOrder) {
    return invalid_option("refcount_bits", width, "must be 1, 2, 4, 8, 16, 32 or 64");
  }
  shape.refcount_order = static_cast<uint32_t>(std::countr_zero(bits));
  return {};
}

Result<void> take_words(const CreateRequest& request, Shape& shape) {
  const std::string_view compat = option(request, "compat");
  if (compat != "0.10" && compat != "1.1") {
    return invalid_option("compat", compat, "must be 0.10 or 1.1");
  }
  shape.version = compat == "0.10" ? 2 : 3;

  const std::string_view compression = option(request, "compression_type");
  if (compression != "zlib" && compression != "zstd") {
    return invalid_option("compression_type", compression, "must be zlib or zstd");
  }
  shape.compression = compression == "zstd" ? Compression::zstd : Compression::deflate;

  shape.compress = request.compress;
  const std::string_view window = option(request, "window");
  if (window != "32k" && window != "4k") {
    return invalid_option("window", window, "must be 32k or 4k");
  }
  shape.window_4k = window == "4k";

  static constexpr std::array<std::string_view, 4> kModes = {"off", "metadata", "falloc", "full"};
  const std::string_view mode = option(request, "preallocation");
  const auto* const known = std::find(kModes.begin(), kModes.end(), mode);
  if (known == kModes.end()) {
    return invalid_option("preallocation", mode, "must be off, metadata, falloc or full");
  }
  shape.preallocation = static_cast<Preallocation>(known - kModes.begin());

  shape.lazy_refcounts = TRY(switch_of(request, "lazy_refcounts"));
  shape.extended_l2 = TRY(switch_of(request, "extended_l2"));
  shape.data_file_raw = TRY(switch_of(request, "data_file_raw"));
  return {};
}

// Specification, "Header": what came with version 3.
Result<void> check_version(const Shape& shape) {
  if (shape.version >= 3) return {};
  if (shape.refcount_order != 4) return clash("refcount_bits: compat=0.10 has only 16");
  if (shape.lazy_refcounts) return clash("lazy_refcounts=on: needs compat=1.1");
  if (shape.extended_l2) return clash("extended_l2=on: needs compat=1.1");
  if (shape.compression != Compression::deflate) {
    return clash("compression_type=zstd: needs compat=1.1");
  }
  if (!shape.data_file.empty()) return clash("data_file: needs compat=1.1");
  return {};
}

}  // namespace

Result<void> check_backing_name(std::string_view name) {
  if (name.size() <= kMaxBackingName) return {};
  return Error(Errc::invalid, fmt::format("the parent's name has {} bytes: at most {} are possible",
                                          name.size(), kMaxBackingName));
}

namespace {

Result<void> take_parent(const CreateRequest& request, Shape& shape) {
  const std::string_view format = option(request, "backing_fmt");
  if (!request.parent) {
    if (format.empty()) return {};
    return invalid_option("backing_fmt", format, "there is no parent");
  }
  const ParentLink& parent = *request.parent;
  if (!format.empty() && format != parent.format) {
    return invalid_option("backing_fmt", format,
                          fmt::format("the parent was opened as {}", parent.format));
  }
  TRY(check_backing_name(parent.reference));
  shape.backing_file = parent.reference;
  shape.backing_format = parent.format;
  return {};
}

Result<void> check_compression(const Shape& shape) {
  if (shape.window_4k && (!shape.compress || shape.compression == Compression::zstd)) {
    return clash("window=4k: only streams of zlib have one, and convert -c makes them");
  }
  if (!shape.compress) return {};
  if (shape.encryption != Encryption::none) {
    return clash("encrypt.format: compressed clusters are not encrypted");
  }
  // Specification, "External data file": its clusters are where the guest has them.
  if (!shape.data_file.empty()) return clash("data_file: it cannot be compressed");
  if (shape.preallocation != Preallocation::off) {
    return clash("preallocation: not together with compressed clusters");
  }
  return {};
}

Result<void> take_encryption(const CreateRequest& request, Shape& shape) {
  constexpr std::string_view kPrefix = "encrypt.";
  const std::string_view format = option(request, "encrypt.format");
  if (!format.empty() && format != "luks" && format != "aes") {
    return invalid_option("encrypt.format", format, "must be luks or aes");
  }
  if (format == "aes") shape.encryption = Encryption::aes;
  if (format == "luks") shape.encryption = Encryption::luks;
  for (const auto& [name, value] : request.options) {
    if (!name.starts_with(kPrefix) || name == "encrypt.format") continue;
    if (format != "luks") return invalid_option(name, value, "goes with encrypt.format=luks only");
  }
  if (shape.encryption != Encryption::luks) return {};
  const auto value = [&](std::string_view name) -> std::string_view {
    const auto given = request.options.find(std::string(kPrefix).append(name));
    return given == request.options.end() ? std::string_view() : given->second;
  };
  Result<LuksShape> luks = parse_luks_shape(value);
  if (!luks) return Error(Errc::invalid, std::string(kPrefix) + luks.error().message());
  shape.luks = *luks;
  return {};
}

// What is not written would show, decrypted.
Result<void> check_encrypted(const Shape& shape) {
  if (shape.encryption == Encryption::none) return {};
  if (shape.preallocation != Preallocation::off) {
    return clash("preallocation: an encrypted image would show noise where nothing is written");
  }
  if (shape.data_file_raw) return clash("data_file_raw=on: an encrypted disk is not raw");
  return {};
}

Result<void> check_together(const Shape& shape) {
  TRY(check_version(shape));
  TRY(check_compression(shape));
  TRY(check_encrypted(shape));
  if (shape.extended_l2 && shape.cluster_bits < kMinExtendedClusterBits) {
    return clash("extended_l2=on: needs clusters of 16k or more");
  }
  if (shape.data_file_raw && shape.data_file.empty()) {
    return clash("data_file_raw=on: needs a data_file");
  }
  if (shape.data_file_raw && !shape.backing_file.empty()) {
    return clash("data_file_raw=on: such a disk has no parent");
  }
  // A cluster with a place of its own hides the parent's; one of extended entries need not.
  if (shape.preallocation != Preallocation::off && !shape.backing_file.empty() &&
      !shape.extended_l2) {
    return clash("preallocation: with a parent, it needs extended_l2=on");
  }
  return {};
}

}  // namespace

uint64_t Shape::l1_entries() const { return div_up(size, l2_span()); }

Result<Shape> parse_shape(const CreateRequest& request) {
  Shape shape;
  TRY(take_words(request, shape));
  TRY(take_sizes(request, shape));
  if (request.data_file) shape.data_file = request.data_file->reference;
  TRY(take_parent(request, shape));
  TRY(take_encryption(request, shape));
  TRY(check_together(shape));
  const uint64_t most = kMaxL1Bytes / sizeof(be64) * shape.l2_span();
  if (request.size > most) {
    return Error(Errc::invalid,
                 fmt::format("a disk of {} bytes is too large: with clusters of {} it can have {}",
                             request.size, human_size(shape.cluster_size()), human_size(most)));
  }
  shape.size = align_up(request.size, kSector);
  return shape;
}

}  // namespace platter::qcow2
