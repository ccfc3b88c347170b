#include "formats/ova/appliance.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "formats/ova/manifest.h"
#include "lib/base/text.h"
#include "lib/base/xml.h"
#include "lib/io/window_file.h"

namespace platter::ova {
namespace {

constexpr uint64_t kMaxManifest = 4 * MiB;

// The standard wants it to be the first; some writers put it elsewhere.
const TarMember* find_ending(const std::vector<TarMember>& members, std::string_view ending) {
  const auto found =
      std::ranges::find_if(members, [&](const TarMember& m) { return has_ending(m.name, ending); });
  return found == members.end() ? nullptr : &*found;
}

Result<std::vector<char>> read_text(const File& file, const TarMember& member, uint64_t most) {
  if (member.data.length > most) {
    return Error(Errc::corrupt,
                 fmt::format("\"{}\" is longer than {} MiB", printable(member.name), most / MiB));
  }
  std::vector<char> text(member.data.length);
  TRY(file.read_exact(member.data.offset, std::as_writable_bytes(std::span(text))));
  return text;
}

// The archive's members, to those that name one another.
struct NamedMembers {
  struct Member {
    Range place;
    std::string parent;  // the member that the archive says is its parent; empty: none
  };
  FilePtr archive;
  std::unordered_map<std::string, Member> by_name;

  FilePtr open(const std::string& name) const {
    return std::make_shared<WindowFile>(archive, by_name.at(name).place,
                                        archive->name() + "/" + name);
  }
};

class MemberResolver final : public Resolver {
 public:
  MemberResolver(std::shared_ptr<const NamedMembers> members, std::string parent)
      : members_(std::move(members)), parent_(std::move(parent)) {}

  // Whatever directory the image thinks it is in: members have none. What the archive says itself
  // counts where the image names a file that is not there, as it was called before it was packed.
  Result<FilePtr> open(std::string_view reference, Access access) const override {
    if (access == Access::write) return Error(Errc::denied, "members of an archive are only read");
    const std::string name(reference.substr(reference.rfind('/') + 1));
    for (const std::string& wanted : {name, parent_}) {
      if (members_->by_name.contains(wanted)) return members_->open(wanted);
    }
    return Error(Errc::not_found,
                 fmt::format("names \"{}\": the archive has no such member", reference));
  }

  Result<void> candidates(std::span<const std::string_view> extensions,
                          const Visit& visit) const override {
    std::vector<const std::string*> names;
    for (const auto& [name, member] : members_->by_name) {
      const bool wanted = std::ranges::any_of(extensions, [&name = name](std::string_view e) {
        return has_ending(name, "." + std::string(e));
      });
      if (wanted) names.push_back(&name);
    }
    std::ranges::sort(names, {}, [](const std::string* name) { return *name; });
    for (const std::string* name : names) {
      if (!TRY(visit({*name, members_->open(*name)}))) break;
    }
    return {};
  }

  std::unique_ptr<Resolver> for_file(const File& opened) const override {
    const std::string& name = opened.name();
    const auto member = members_->by_name.find(name.substr(name.rfind('/') + 1));
    return std::make_unique<MemberResolver>(
        members_, member == members_->by_name.end() ? "" : member->second.parent);
  }

 private:
  const std::shared_ptr<const NamedMembers> members_;
  const std::string parent_;
};

}  // namespace

Appliance::Appliance(FilePtr file, std::vector<TarMember> members, Envelope envelope)
    : file_(std::move(file)), members_(std::move(members)), envelope_(std::move(envelope)) {
  find_disks();
}

Result<ArchivePtr> Appliance::open(const FilePtr& file) {
  std::vector<TarMember> members = TRY(read_tar(*file));
  const TarMember* const described = find_ending(members, ".ovf");
  if (described == nullptr) return Error(Errc::wrong_format, "tar: has no OVF envelope");
  std::vector<char> text = TRY_IN("tar", read_text(*file, *described, kMaxXmlSize));
  Envelope envelope = TRY(parse_envelope(std::move(text)));
  return ArchivePtr(new Appliance(file, std::move(members), std::move(envelope)));
}

const TarMember* Appliance::find_member(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::string Appliance::why_not_open(const OvfFile* file, const TarMember* member) const {
  if (file == nullptr) return "the envelope does not list its file";
  if (!file->compression.empty()) {
    return fmt::format("its file is compressed ({}), which is not read",
                       printable(file->compression));
  }
  if (file->chunked) return "its file is in chunks, which are not read";
  if (file->href.find('/') != std::string::npos) {
    return fmt::format("its file \"{}\" is not in the archive's directory", printable(file->href));
  }
  if (member == nullptr) {
    return fmt::format("its file \"{}\" is not in the archive", printable(file->href));
  }
  return member->data.empty() ? "its file is empty" : "";
}

ArchivedDisk Appliance::locate(const OvfDisk& disk, const OvfFile* listed) {
  ArchivedDisk out{
      .id = disk.id, .format = disk.format, .parent = disk.parent, .capacity = disk.capacity};
  if (disk.file.empty()) {
    out.problem = "is blank: it has no file";
    return out;
  }
  if (listed != nullptr) out.member = listed->href;
  const TarMember* const member = listed != nullptr ? find_member(listed->href) : nullptr;
  if (member != nullptr) out.place = member->data;
  out.problem = why_not_open(listed, member);
  out.missing = !out.problem.empty() && (member == nullptr || member->data.empty()) &&
                (listed == nullptr || !listed->chunked);
  if (member != nullptr && listed->size && *listed->size != member->data.length) {
    damage_.push_back(fmt::format("envelope: \"{}\" should have {} bytes, not {}",
                                  printable(member->name), *listed->size, member->data.length));
  }
  return out;
}

void Appliance::find_disks() {
  std::unordered_map<std::string_view, const OvfFile*> files;
  for (const OvfFile& file : envelope_.files) files.emplace(file.id, &file);
  for (const TarMember& member : members_) by_name_.emplace(member.name, &member);
  for (const OvfDisk& disk : envelope_.disks) {
    const auto file = files.find(disk.file);
    disks_.push_back(locate(disk, file == files.end() ? nullptr : file->second));
  }
  envelope_.warnings.insert(envelope_.warnings.end(), damage_.begin(), damage_.end());
}

FilePtr Appliance::open(const ArchivedDisk& disk) const {
  return std::make_shared<WindowFile>(file_, disk.place, file_->name() + "/" + disk.member);
}

std::unique_ptr<Resolver> Appliance::resolver(const ArchivedDisk& disk) const {
  std::unordered_map<std::string_view, const ArchivedDisk*> by_id;
  for (const ArchivedDisk& d : disks_) by_id.emplace(d.id, &d);
  const auto parent_of = [&](const ArchivedDisk& d) {
    const auto parent = by_id.find(d.parent);
    return d.parent.empty() || parent == by_id.end() ? "" : parent->second->member;
  };
  auto members = std::make_shared<NamedMembers>();
  members->archive = file_;
  for (const TarMember& member : members_) {
    // Of others nobody could say which is meant.
    if (member.name.find('/') == std::string::npos) {
      members->by_name.emplace(member.name, NamedMembers::Member{member.data, ""});
    }
  }
  for (const ArchivedDisk& d : disks_) {
    const auto member = members->by_name.find(d.member);
    if (member != members->by_name.end()) member->second.parent = parent_of(d);
  }
  return std::make_unique<MemberResolver>(std::move(members), parent_of(disk));
}

Result<void> Appliance::check(CheckReport& report) const {
  for (const ArchivedDisk& disk : disks_) {
    if (!disk.missing) continue;
    report.corruption(fmt::format("disk \"{}\": {}", printable(disk.id), disk.problem));
  }
  for (const std::string& damage : damage_) report.corruption(damage);
  const TarMember* const manifest = find_ending(members_, ".mf");
  return manifest != nullptr ? check_digests(*manifest, report) : Result<void>();
}

Result<void> Appliance::check_digests(const TarMember& manifest, CheckReport& report) const {
  const std::vector<char> text = TRY_IN("tar", read_text(*file_, manifest, kMaxManifest));
  const auto listed = TRY(parse_manifest({text.data(), text.size()}));
  std::vector<std::byte> piece(MiB);
  std::set<std::pair<std::string_view, Hash>> seen;
  for (const ListedDigest& digest : listed) {
    ++report.blocks;
    if (!seen.emplace(digest.member, digest.hash).second) {
      report.corruption(fmt::format("manifest: \"{}\" is there twice", printable(digest.member)));
      continue;
    }
    const TarMember* const member = find_member(digest.member);
    if (member == nullptr) {
      report.corruption(
          fmt::format("manifest: \"{}\" is not in the archive", printable(digest.member)));
      continue;
    }
    RunningDigest running(digest.hash);
    for (uint64_t at = 0; at < member->data.length;) {
      const auto bytes =
          MutableBytes(piece).first(std::min<uint64_t>(piece.size(), member->data.length - at));
      TRY(file_->read_exact(member->data.offset + at, bytes));
      TRY(running.add(bytes));
      at += bytes.size();
    }
    std::vector<std::byte> found(digest_size(digest.hash));
    TRY(running.finish(found));
    if (found == digest.value) continue;
    report.corruption(fmt::format("\"{}\" has another {} than the manifest says",
                                  printable(member->name), hash_name(digest.hash)));
  }
  return {};
}

}  // namespace platter::ova
