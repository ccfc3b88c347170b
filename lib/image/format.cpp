#include "lib/image/format.h"

namespace platter {

Result<ImageWriterPtr> Format::create(const CreateRequest& /*request*/) const {
  return Error(Errc::unsupported,
               std::string(name()) + ": images of this format cannot be created");
}

}  // namespace platter
