#include "lib/image/image.h"

namespace platter {
namespace {

Error not_writable() { return Error(Errc::read_only, "is open for reading only"); }

}  // namespace

Result<void> Image::begin_writing() { return not_writable(); }
Result<Reservation> Image::reserve(const Range& /*want*/) { return not_writable(); }
Result<void> Image::publish(const Reservation& /*reservation*/) { return not_writable(); }
Result<Range> Image::make_zero(const Range& /*want*/, File::Zero /*how*/) { return not_writable(); }
Result<void> Image::flush(bool /*wrote_data*/) { return {}; }
Result<std::unique_ptr<SnapshotChange>> Image::change_snapshots(
    const SnapshotRequest& /*request*/) {
  return Error(Errc::unsupported, info().format + ": has no snapshots inside the image");
}
Result<void> Image::check(Repair /*repair*/, CheckReport& /*report*/) {
  return Error(Errc::unsupported, info().format + ": there is nothing to check");
}
Result<void> Image::resize(uint64_t /*size*/) {
  return Error(Errc::unsupported, info().format + ": cannot be resized");
}
Result<void> Image::set_metadata(const Metadata& /*values*/) {
  return Error(Errc::unsupported, info().format + ": keeps no such values");
}

Result<void> Image::drop_parent() { return Error(Errc::unsupported, "has no parent to drop"); }

Result<void> Image::compact(Progress& /*progress*/) {
  return Error(Errc::unsupported, "an image of this kind cannot be made more compact");
}

Result<void> Image::set_parent(const ParentLink& /*parent*/) {
  return Error(Errc::unsupported, info().format + ": cannot be given another parent");
}

Result<void> Image::amend(const Metadata& /*options*/) {
  return Error(Errc::unsupported, "images of this format have nothing that can be amended");
}

}  // namespace platter
