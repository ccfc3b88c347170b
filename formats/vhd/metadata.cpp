#include "formats/vhd/metadata.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vhd/changes.h"
#include "formats/vhd/footer.h"
#include "formats/vhd/geometry.h"
#include "formats/vhd/mend.h"
#include "formats/vhd/parent.h"
#include "formats/vhd/table_scan.h"
#include "formats/vhd/unmarked.h"
#include "lib/base/text.h"
#include "lib/image/metadata_value.h"

namespace platter::vhd {
namespace {

template <class... Args>
Error invalid(fmt::format_string<Args...> text, Args&&... args) {
  return {Errc::invalid, fmt::format(text, std::forward<Args>(args)...)};
}

Result<Uuid> uuid_not_nil(const std::string& key, const std::string& value) {
  const Uuid uuid = TRY(uuid_value(key, value));
  if (uuid.is_nil()) return invalid("{}={}: a VHD must have one", key, value);
  return uuid;
}

// The headers on their way to their new state.
struct Editor {
  const Parsed& parsed;
  Footer footer = parsed.footer;
  DynamicHeader header = parsed.header;

  Result<void> set(const std::string& key, const std::string& value) {
    if (key == "uuid") {
      footer.uuid = TRY(uuid_not_nil(key, value)).bytes;
      return {};
    }
    if (key == "parent-uuid") return set_parent_uuid(key, value);
    if (key == "geometry-pchs") return set_geometry(value);
    return Error(Errc::unsupported, fmt::format("{}: a VHD keeps no such value", printable(key)));
  }

  Result<void> set_parent_uuid(const std::string& key, const std::string& value) {
    if (parsed.type != Type::differencing) {
      return Error(Errc::unsupported, fmt::format("{}: the image has no parent", key));
    }
    header.parent_uuid = TRY(uuid_not_nil(key, value)).bytes;
    return {};
  }

  Result<void> set_geometry(const std::string& value) {
    const auto chs = parse_chs(value);
    const auto within = [](uint32_t n, uint32_t most) { return n > 0 && n <= most; };
    if (!chs || !within(chs->cylinders, kMaxCylinders) || !within(chs->heads, 255) ||
        !within(chs->sectors, 255)) {
      return invalid(
          "geometry-pchs={}: must be C/H/S, at most 65535 cylinders, 255 heads and 255 sectors",
          printable(value));
    }
    footer.geometry = {.cylinders = static_cast<uint16_t>(chs->cylinders),
                       .heads = static_cast<uint8_t>(chs->heads),
                       .sectors = static_cast<uint8_t>(chs->sectors)};
    if (disk_size(footer) == parsed.disk_size) return {};
    return invalid("geometry-pchs={}: the size of this image follows from it, and would change",
                   printable(value));
  }
};

Result<void> write_first_sector(File& file, uint64_t offset, const DynamicHeader& header) {
  const DynamicHeader done = sealed(header);
  return file.write(offset, as_bytes_of(done).first(kSector));
}

// Where the footer stands, with all that is used in front of it.
Result<uint64_t> sound_end(File& file, const Parsed& parsed) {
  const TableScan scan = TRY(scan_table(file, parsed));
  TRY(scan.expect_sound());
  return mend_footers(file, parsed);
}

Result<void> set_of_dynamic(File& file, const Editor& editor) {
  const Parsed& parsed = editor.parsed;
  const uint64_t tail = TRY(sound_end(file, parsed));
  const bool another_parent = editor.header.parent_uuid != parsed.header.parent_uuid;
  Result<void> done;
  if (another_parent) done = write_first_sector(file, parsed.header_offset, editor.header);
  if (done) done = replace_footer(file, editor.footer, tail);
  if (done) return {};
  // All or nothing, as far as the file can be written.
  const Footer old = sealed(parsed.footer);
  (void)write_first_sector(file, parsed.header_offset, parsed.header);
  (void)file.write(tail, as_bytes_of(old));
  (void)file.write(0, as_bytes_of(old));
  return done;
}

Result<void> set_of_fixed(File& file, const Editor& editor) {
  const uint64_t tail = editor.parsed.data_end;
  Result<void> done = move_footer_back(file, editor.footer, tail);
  if (!done) (void)file.write(tail, as_bytes_of(sealed(editor.parsed.footer)));
  return done;
}

// Another parent, or none. The header does not fit into a sector, so it is not written over while
// it counts: a copy of the new one at the end of the file, behind the new name, counts meanwhile.
class NewHeader {
 public:
  // type: what the disk is with it.
  NewHeader(File& file, const Parsed& parsed, Type type)
      : file_(file), parsed_(parsed), footer_(parsed.footer) {
    footer_.type = static_cast<uint32_t>(type);
  }

  Result<void> name(const ParentLink& parent) {
    DynamicHeader header = parsed_.header;
    const std::vector<std::byte> text = TRY(name_parent(parent, header));
    const uint64_t at = TRY(sound_end(file_, parsed_));
    place_locator(header, at, text.size());
    return put(header, at, text);
  }

  // What the parent had is zero by then.
  Result<void> name_none() {
    DynamicHeader header = parsed_.header;
    header.parent_uuid = {};
    header.parent_changed = 0;
    header.parent_name = {};
    header.locators = {};
    return put(header, TRY(sound_end(file_, parsed_)), {});
  }

 private:
  // text: of its locator, which goes to the end of the file, at.
  Result<void> put(const DynamicHeader& header, uint64_t at, Bytes text) {
    const uint64_t copy = at + locator_space(text.size()), tail = copy + sizeof(DynamicHeader);
    TRY(move_footer_back(file_, parsed_.footer, tail));
    TRY(file_.write(at, text));
    TRY(write(copy, header));
    TRY(use_header_at(copy, tail));
    TRY(write(parsed_.header_offset, header));
    TRY(use_header_at(parsed_.header_offset, tail));
    return cut_behind(file_, footer_, copy);
  }

  Result<void> write(uint64_t offset, const DynamicHeader& header) {
    const DynamicHeader done = sealed(header);
    TRY(file_.write(offset, as_bytes_of(done)));
    return file_.sync();
  }

  Result<void> use_header_at(uint64_t offset, uint64_t tail) {
    footer_.header_offset = offset;
    return replace_footer(file_, footer_, tail);
  }

  File& file_;
  const Parsed& parsed_;
  Footer footer_;
};

Result<void> expect_differencing(const Parsed& parsed) {
  TRY(Changes::check_supported(parsed));
  if (parsed.type == Type::differencing) return {};
  return Error(Errc::unsupported, "the image has no parent");
}

}  // namespace

Result<void> set_metadata(File& file, const Parsed& parsed, const Metadata& values) {
  TRY(Changes::check_supported(parsed));
  Editor editor{parsed};
  for (const auto& [key, value] : values) TRY(editor.set(key, value));
  return parsed.type == Type::fixed ? set_of_fixed(file, editor) : set_of_dynamic(file, editor);
}

Result<void> set_parent(File& file, const Parsed& parsed, const ParentLink& parent) {
  TRY(expect_differencing(parsed));
  return NewHeader(file, parsed, Type::differencing).name(parent);
}

Result<void> drop_parent(File& file, const Parsed& parsed) {
  TRY(expect_differencing(parsed));
  const TableScan scan = TRY(scan_table(file, parsed));
  TRY(scan.expect_sound());
  // A dynamic disk shows what is stored, whatever the bits say.
  TRY(zero_unmarked(file, parsed, scan));
  TRY(file.sync());
  return NewHeader(file, parsed, Type::dynamic).name_none();
}

}  // namespace platter::vhd
