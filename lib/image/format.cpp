#include "lib/image/format.h"

namespace platter {

Result<ImageWriterPtr> Format::create(const CreateRequest& /*request*/) const {
  return Error(Errc::unsupported,
               std::string(name()) + ": images of this format cannot be created");
}

Result<ArchivePtr> Format::open_archive(const FilePtr& /*file*/) const {
  return Error(Errc::wrong_format, std::string(name()) + ": is no archive of images");
}

}  // namespace platter
