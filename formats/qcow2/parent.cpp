// Another backing file, named in the header, or none.
#include "formats/qcow2/create_options.h"
#include "formats/qcow2/header_replace.h"
#include "formats/qcow2/qcow2_image.h"

namespace platter::qcow2 {

Result<void> Qcow2Image::set_parent(const ParentLink& parent) {
  TRY(expect_writable());
  const Header header = TRY(parse_header(*files_.image));
  if (header.backing_file.empty()) {
    return Error(Errc::unsupported, "it has no parent that another one could replace");
  }
  TRY(check_backing_name(parent.reference));
  const Backing backing{.name = parent.reference, .format = parent.format};
  const auto raw = TRY(files_.image->read_struct<RawHeader>(0));
  return replace_header(*files_.image, header, raw, &backing);
}

Result<void> Qcow2Image::drop_parent() {
  TRY(expect_writable());
  const Header header = TRY(parse_header(*files_.image));
  if (header.backing_file.empty()) return Image::drop_parent();
  const auto raw = TRY(files_.image->read_struct<RawHeader>(0));
  const Backing none;
  return replace_header(*files_.image, header, raw, &none);
}

}  // namespace platter::qcow2
