#include "lib/ops/child.h"

#include <filesystem>

#include <fmt/format.h>

namespace platter {
namespace {

namespace fs = std::filesystem;

// Links in the way would make "../" lead elsewhere: both ends are resolved first.
Result<std::string> reference_from(const std::string& child, const std::string& parent) {
  std::error_code error;
  const fs::path directory = fs::weakly_canonical(fs::absolute(child).parent_path(), error);
  const fs::path target = error ? fs::path() : fs::canonical(parent, error);
  if (error) {
    return Error(Errc::io, fmt::format("{}: cannot tell where it is: {}", parent, error.message()),
                 error.value());
  }
  return target.lexically_relative(directory).string();
}

}  // namespace

Result<NewParent> describe_parent(const ParentArgs& args) {
  const auto container = TRY(Container::open(
      args.path, {.format = args.format, .references = args.references, .lock = true}));
  const ImageInfo& info = container->info();
  return NewParent{.link = {.reference = TRY(reference_from(args.child, args.path)),
                            .format = info.format,
                            .uuid = info.uuid,
                            .modification_uuid = info.modification_uuid},
                   .size = container->live()->size()};
}

}  // namespace platter
