// Format: what a folder under formats/ gives to the rest of the program.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lib/image/archive.h"
#include "lib/image/epochs.h"
#include "lib/image/image.h"
#include "lib/image/image_writer.h"
#include "lib/image/page_cache.h"
#include "lib/io/resolver.h"

namespace platter {

enum class Match : unsigned char {
  no,
  weak,  // could be; beaten by any sure one
  sure,
};

// What a probe sees of a file.
struct ProbeInput {
  std::string_view name;
  uint64_t size = 0;  // of the file, bytes
  Bytes head;         // its first 64 KiB, or less when it is shorter
  Bytes tail;         // its last 1 KiB, or less
};

struct OpenRequest {
  FilePtr file;
  const Resolver& resolver;  // used only during open
  std::shared_ptr<PageCache> tables;
  // Only info(), size(), check() and set_metadata() will be asked for: open no other file but those
  // a check looks at, do without them, and put up with damage that it would report.
  bool info_only = false;
  // The image will be changed, and file may be. Errc::read_only or unsupported when the format or
  // this image of it (damaged, unknown features) cannot be.
  bool writable = false;
  Epochs* epochs = nullptr;  // of who reads the image; set when writable
  // For an encrypted image; used only during open. Null: nobody will look at the disk, every byte
  // of which is Errc::no_key then.
  KeySource* keys = nullptr;
};

struct OptionSpec {
  std::string_view name;
  std::string_view help;
  std::string_view fallback;  // the value when it is not given
  // The value is the path of a new file that is a part of the image: CreateRequest::data_file.
  bool new_file = false;
};
// A variant that can be made, by its ImageInfo name, and the create option that makes it.
struct CreatableVariant {
  std::string_view name;
  std::string_view option, value;  // empty: the format makes nothing else
};

using Options = std::map<std::string, std::string, std::less<>>;

// Where a new image gets the other files from that it is made of.
class NewParts {
 public:
  virtual ~NewParts() = default;
  // A new, empty file beside the image, of this name; it is there once the image is, or not at all.
  // Errc::invalid: it cannot be.
  virtual Result<FilePtr> make(const std::string& name) = 0;
};

struct CreateRequest {
  FilePtr file;       // new and empty
  uint64_t size = 0;  // of the disk, bytes
  // Only names from create_options(); an absent one has its fallback.
  const Options& options;
  // Of a differencing image: its parent, by all that is known of it. The reference is seen from the
  // new image's directory.
  std::optional<ParentLink> parent = std::nullopt;
  // The file of the option that is a new_file, when that was given: new and empty.
  struct DataFile {
    std::string reference;  // seen from the new image's directory
    FilePtr file;
  };
  std::optional<DataFile> data_file = std::nullopt;
  // The image's own file name, without a directory: what its parts are named after.
  std::string name = {};
  NewParts* parts = nullptr;  // lives as long as the writer; null: the image has to be one file
  // Blocks are stored compressed where that makes them smaller: the writer has an encoder(). Only
  // with can_compress().
  std::optional<Effort> compress = std::nullopt;
  KeySource* keys = nullptr;  // of an image that is to be encrypted
};

// Thread safety: stateless; every method may run at any time.
class Format {
 public:
  virtual ~Format() = default;

  virtual std::string_view name() const = 0;
  // Without a dot, lower case, the usual one first.
  virtual std::span<const std::string_view> extensions() const = 0;
  // Of what can be read, for `formats`.
  virtual std::span<const std::string_view> variants() const = 0;

  virtual Match probe(const ProbeInput& input) const = 0;
  // Errc::wrong_format: not this format at all; corrupt: its own rules are broken; unsupported:
  // valid, but not built. Messages begin with the structure, not with the file's name.
  virtual Result<ImagePtr> open(const OpenRequest& request) const = 0;

  // Its files are archives of images: open_archive() opens one of them, open() none.
  virtual bool holds_images() const { return false; }
  // As open(); the file is only read.
  virtual Result<ArchivePtr> open_archive(const FilePtr& file) const;

  virtual bool can_write() const { return false; }
  virtual bool can_create() const { return false; }
  // What -o subformat=NAME takes, the one made without it first; empty unless can_create().
  virtual std::span<const CreatableVariant> creatable_variants() const { return {}; }
  virtual bool can_create_child() const { return false; }
  // New images can have compressed blocks.
  virtual bool can_compress() const { return false; }
  // A child names its parent by ids alone, never by a file name.
  virtual bool names_parents_by_id() const { return false; }
  // A child says which format its parent, named by a file name, has. Else that is found out each
  // time the child is opened, and such a parent may not name one of its own.
  virtual bool names_parent_formats() const { return true; }
  // What some of its images can do; others say why not.
  virtual bool can_snapshot() const { return false; }
  virtual bool can_resize() const { return false; }
  virtual bool can_compact() const { return false; }
  virtual bool can_check() const { return false; }
  virtual bool can_repair() const { return false; }
  // Some of its images are encrypted, and can be read, written and made.
  virtual bool can_encrypt() const { return false; }
  virtual std::span<const OptionSpec> create_options() const { return {}; }
  // What Image::amend() takes; without a fallback: what is not given stays.
  virtual std::span<const OptionSpec> amend_options() const { return {}; }
  // Errc::invalid for a size or an option value the format cannot have.
  virtual Result<ImageWriterPtr> create(const CreateRequest& request) const;
};

}  // namespace platter
