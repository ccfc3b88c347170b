// Appliance: an OVA file, a tar archive of an OVF envelope and what it lists.
#pragma once

#include <string_view>
#include <unordered_map>

#include "formats/ova/envelope.h"
#include "formats/ova/tar.h"
#include "lib/image/archive.h"

namespace platter::ova {

// Immutable; thread safe.
class Appliance final : public Archive {
 public:
  // Errc::wrong_format: no tar archive, or none with an envelope; corrupt, unsupported: as
  // read_tar() and parse_envelope().
  static Result<ArchivePtr> open(const FilePtr& file);

  std::string_view format() const override { return "ova"; }
  const std::vector<ArchivedDisk>& disks() const override { return disks_; }
  const std::vector<std::string>& systems() const override { return envelope_.systems; }
  const std::vector<std::string>& warnings() const override { return envelope_.warnings; }
  FilePtr open(const ArchivedDisk& disk) const override;
  std::unique_ptr<Resolver> resolver(const ArchivedDisk& disk) const override;
  Result<void> check(CheckReport& report) const override;

 private:
  Appliance(FilePtr file, std::vector<TarMember> members, Envelope envelope);
  void find_disks();
  ArchivedDisk locate(const OvfDisk& disk, const OvfFile* listed);
  std::string why_not_open(const OvfFile* file, const TarMember* member) const;
  const TarMember* find_member(std::string_view name) const;
  Result<void> check_digests(const TarMember& manifest, CheckReport& report) const;

  FilePtr file_;
  std::vector<TarMember> members_;
  std::unordered_map<std::string_view, const TarMember*> by_name_;
  Envelope envelope_;
  std::vector<std::string> damage_;  // members that are not what the envelope says
  std::vector<ArchivedDisk> disks_;
};

}  // namespace platter::ova
