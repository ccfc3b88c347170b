// A new locator goes where nothing is in the metadata region, durably; then the table is changed to
// it, through the journal.
#include "formats/vhdx/metadata.h"

#include <algorithm>

#include <fmt/format.h>

#include "formats/vhdx/journal.h"
#include "lib/base/checked.h"
#include "lib/base/text.h"
#include "lib/image/metadata_value.h"

namespace platter::vhdx {
namespace {

// Of whole pages, so that no sector of another item is written along.
Result<Range> free_place(const Parsed& p, uint64_t length) {
  std::vector<Range> used;
  for (const Item& item : p.items.table) {
    if (!item.place.empty()) used.push_back(align_out(item.place, kLogSector));
  }
  std::sort(used.begin(), used.end(),
            [](const Range& a, const Range& b) { return a.offset < b.offset; });
  used.push_back({p.regions.metadata.end(), 0});
  uint64_t at = p.regions.metadata.offset + kMetadataTableSize;
  for (const Range& range : used) {
    if (range.offset >= at && range.offset - at >= length) return Range{at, length};
    at = std::max(at, range.end());
  }
  return Error(Errc::no_space, "metadata: there is no room for another parent locator");
}

class Editor {
 public:
  Editor(const FilePtr& file, const Parsed& parsed)
      : file_(file),
        parsed_(parsed),
        header_(parsed.headers.current),
        locator_(parsed.items.locator),
        patch_(*file) {}

  Result<void> set(const std::string& key, const std::string& value) {
    if (key == "uuid") return set_disk_id(key, value);
    if (key == "modification-uuid") return set_data_write(key, value);
    if (key == "parent-modification-uuid") return set_linkage(key, value);
    if (key == "parent-uuid") {
      return Error(Errc::unsupported,
                   "parent-uuid: a VHDX tells its parent by parent-modification-uuid alone");
    }
    return Error(Errc::unsupported, fmt::format("{}: a VHDX keeps no such value", printable(key)));
  }

  Result<void> set_parent(const ParentLink& parent) {
    TRY(expect_child("the parent"));
    locator_ = TRY(with_parent(*locator_, parent));
    locator_changed_ = true;
    return {};
  }

  Result<void> write() {
    if (locator_changed_) TRY(write_locator());
    // What was there before, and the locator, is durable before the journal begins.
    TRY(file_->sync());
    header_.file_write = Uuid::random();
    Journal journal(file_, parsed_.headers);
    const Table::Pages pages = patch_.pages();
    if (pages.empty()) return journal.replace_header(header_);
    const uint64_t size = TRY(file_->stat()).size;
    TRY(journal.commit(pages, size, header_));
    return file_->sync();
  }

 private:
  Result<void> expect_child(std::string_view what) const {
    if (locator_) return {};
    return Error(Errc::unsupported, fmt::format("{}: the image has no parent", what));
  }

  Result<void> set_disk_id(const std::string& key, const std::string& value) {
    const Uuid id = TRY(uuid_value(key, value));
    return patch_.put(parsed_.items.find(guid::kDiskId)->place.offset, id.to_microsoft());
  }

  Result<void> set_data_write(const std::string& key, const std::string& value) {
    header_.data_write = TRY(uuid_value(key, value));
    return {};
  }

  Result<void> set_linkage(const std::string& key, const std::string& value) {
    TRY(expect_child(key));
    const std::string wanted = linkage(TRY(uuid_value(key, value)));
    std::erase_if(*locator_, [](const auto& pair) {
      return pair.first == "parent_linkage" || pair.first == "parent_linkage2";
    });
    locator_->emplace(locator_->begin(), "parent_linkage", wanted);
    locator_changed_ = true;
    return {};
  }

  Result<void> write_locator() {
    const std::vector<std::byte> bytes = TRY(encode_locator(*locator_));
    const Range place = TRY(free_place(parsed_, bytes.size()));
    TRY(file_->write(place.offset, bytes));
    const Item* old = parsed_.items.find(guid::kParentLocator);
    MetadataEntry entry = old->entry;
    entry.offset = static_cast<uint32_t>(place.offset - parsed_.regions.metadata.offset);
    entry.length = static_cast<uint32_t>(place.length);
    const auto n = static_cast<size_t>(old - parsed_.items.table.data());
    return patch_.put(entry_place(parsed_.regions.metadata, n), as_bytes_of(entry));
  }

  const FilePtr file_;
  const Parsed& parsed_;
  Header header_;
  std::optional<Locator> locator_;
  bool locator_changed_ = false;
  PagePatch patch_;
};

}  // namespace

Result<void> set_metadata(const FilePtr& file, const Metadata& values) {
  const Parsed parsed = TRY(parse_for_change(*file));
  Editor editor(file, parsed);
  for (const auto& [key, value] : values) TRY(editor.set(key, value));
  return editor.write();
}

Result<void> set_parent(const FilePtr& file, const ParentLink& parent) {
  const Parsed parsed = TRY(parse_for_change(*file));
  Editor editor(file, parsed);
  TRY(editor.set_parent(parent));
  return editor.write();
}

}  // namespace platter::vhdx
