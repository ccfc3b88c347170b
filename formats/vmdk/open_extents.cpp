#include "formats/vmdk/open_extents.h"

#include <map>

#include <fmt/format.h>

#include "formats/vmdk/describe.h"
#include "formats/vmdk/file_names.h"
#include "formats/vmdk/flat_extent.h"
#include "formats/vmdk/sesparse_extent.h"
#include "formats/vmdk/sparse_extent.h"
#include "lib/base/text.h"

namespace platter::vmdk {
namespace {

bool is_flat(const ExtentLine& line) { return line.type == "FLAT" || line.type == "VMFS"; }

bool is_child(const Descriptor& descriptor) { return parent_of(descriptor).has_value(); }

Result<std::unique_ptr<DiskExtent>> open_sparse(const OpenRequest& request,
                                                const Descriptor& descriptor,
                                                const ExtentLine& line, FilePtr file,
                                                SparseHeader header) {
  const uint64_t size = line.sectors * kSector;
  if (size > header.layout.capacity) {
    return Error(Errc::corrupt, fmt::format("the descriptor gives it {} bytes, its header {}", size,
                                            header.layout.capacity));
  }
  std::unique_ptr<DiskExtent> extent =
      TRY(SparseExtent::open({.file = std::move(file),
                              .header = std::move(header),
                              .size = size,
                              .tables = request.tables,
                              .epochs = request.writable ? request.epochs : nullptr,
                              .child = is_child(descriptor)},
                             !request.info_only));
  return extent;
}

class Opener {
 public:
  Opener(const OpenRequest& request, const Descriptor& descriptor)
      : request_(request),
        descriptor_(descriptor),
        encoding_(descriptor.value("encoding").value_or("")) {}

  Result<std::unique_ptr<DiskExtent>> open(const ExtentLine& line) {
    const uint64_t size = line.sectors * kSector;
    std::unique_ptr<DiskExtent> extent;
    if (line.access == ExtentLine::Access::none) {
      extent = std::make_unique<BarredExtent>(size);
    } else if (line.type == "ZERO") {
      extent = std::make_unique<ZeroExtent>(size);
    } else if (is_flat(line)) {
      const FilePtr file = TRY(find(line));
      TRY(expect_another_file(*file));
      extent = TRY(FlatExtent::open(file, {line.offset * kSector, size}, may_write(line)));
    } else if (line.type == "SPARSE") {
      const FilePtr file = TRY(find(line));
      return open_sparse(request_, descriptor_, line, file, TRY(parse_sparse_header(*file)));
    } else if (line.type == "VMFSSPARSE") {
      const FilePtr file = TRY(find(line));
      return open_sparse(request_, descriptor_, line, file, TRY(parse_cowd_header(*file)));
    } else if (line.type == "SESPARSE") {
      FilePtr file = TRY(find(line));
      extent = TRY(SeSparseExtent::open({.file = std::move(file),
                                         .size = size,
                                         .tables = request_.tables,
                                         .info_only = request_.info_only}));
    } else {
      return Error(Errc::unsupported,
                   fmt::format("extents of type {} are not read", printable(line.type)));
    }
    return extent;
  }

 private:
  bool may_write(const ExtentLine& line) const {
    return request_.writable && line.access == ExtentLine::Access::read_write;
  }

  // Several extents may lie in one file.
  Result<FilePtr> find(const ExtentLine& line) {
    const auto known = files_.find(line.file);
    if (known != files_.end()) return known->second;
    if (line.file.empty()) return Error(Errc::corrupt, "names no file");
    std::optional<Error> problem;
    for (const std::string& reference : references(line.file, encoding_)) {
      Result<FilePtr> file =
          request_.resolver.open(reference, may_write(line) ? Access::write : Access::read);
      if (file) {
        files_.emplace(line.file, *file);
        return file;
      }
      const Errc code = file.error().code();
      if (code != Errc::not_found && code != Errc::denied) return file;
      // What forbids one says more than that another is not there.
      if (!problem || (code == Errc::denied && problem->code() == Errc::not_found)) {
        problem = std::move(file.error());
      }
    }
    if (!problem) return Error(Errc::corrupt, "names no file");
    if (problem->code() == Errc::denied) return *std::move(problem);
    return Error(Errc::not_found, "is missing");
  }

  Result<void> expect_another_file(const File& file) const {
    const FileStat own = TRY(request_.file->stat());
    const FileStat other = TRY(file.stat());
    const bool told_apart = own.device != 0 || own.inode != 0;
    const bool same = told_apart ? own.device == other.device && own.inode == other.inode
                                 : &file == request_.file.get();
    if (!same) return {};
    return Error(Errc::corrupt, "is the descriptor itself");
  }

  const OpenRequest& request_;
  const Descriptor& descriptor_;
  const std::string encoding_;
  std::map<std::string, FilePtr> files_;  // by their names in the descriptor
};

}  // namespace

std::string name_of(const Descriptor& descriptor, size_t index) {
  const ExtentLine& line = descriptor.extents()[index];
  if (line.file.empty()) return fmt::format("extent {}", index + 1);
  return fmt::format("extent {} (\"{}\")", index + 1,
                     printable(as_utf8(line.file, descriptor.value("encoding").value_or(""))));
}

Result<std::vector<Part>> open_extents(const OpenRequest& request, const Descriptor& descriptor) {
  Opener opener(request, descriptor);
  std::vector<Part> parts;
  uint64_t offset = 0;
  for (size_t i = 0; i < descriptor.extents().size(); ++i) {
    auto extent = TRY_IN(name_of(descriptor, i), opener.open(descriptor.extents()[i]));
    const uint64_t size = extent->size();
    parts.push_back({{offset, size}, std::move(extent)});
    offset += size;
  }
  return parts;
}

Result<std::vector<Part>> open_embedded(const OpenRequest& request, const Descriptor& descriptor,
                                        const SparseHeader& header) {
  if (descriptor.extents().size() != 1) {
    return Error(Errc::unsupported,
                 "descriptor: is embedded in one of several extents: it belongs in a file of its "
                 "own");
  }
  const ExtentLine& line = descriptor.extents().front();
  if (line.type != "SPARSE") {
    return Error(Errc::unsupported, fmt::format("descriptor: is embedded in an extent of type {}",
                                                printable(line.type)));
  }
  std::vector<Part> parts(1);
  parts[0].guest = {0, line.sectors * kSector};
  parts[0].extent = TRY(open_sparse(request, descriptor, line, request.file, header));
  return parts;
}

}  // namespace platter::vmdk
