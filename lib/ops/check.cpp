#include "lib/ops/check.h"

#include "lib/base/text.h"
#include "lib/container/archive_path.h"
#include "lib/container/container.h"
#include "lib/image/cache_image.h"
#include "lib/image/registry.h"

namespace platter {
namespace {

// What is found in the image of a member, after its name.
void add_report(const CheckReport& found, const std::string& member, CheckReport& report) {
  report.corruptions += found.corruptions;
  report.leaks += found.leaks;
  report.blocks += found.blocks;
  for (const std::string& message : found.messages) {
    if (report.messages.size() == CheckReport::kMaxMessages) return;
    report.messages.push_back(printable(member) + ": " + message);
  }
}

// The archive, and the images in it whose formats can be checked.
Result<CheckReport> check_archive(const CheckArgs& args, const Archive& archive) {
  if (args.repair != Repair::none) {
    return Error(Errc::read_only, args.path + ": disks in an archive are only read");
  }
  CheckReport report;
  TRY_IN(args.path, archive.check(report));
  for (const ArchivedDisk& disk : archive.disks()) {
    if (!disk.problem.empty()) continue;
    const Result<CheckReport> found = check_image({.path = path_in(args.path, disk.member)});
    if (found) {
      add_report(*found, disk.member, report);
    } else if (found.error().code() == Errc::corrupt) {
      report.corruption(found.error().message());
    } else if (found.error().code() != Errc::unsupported) {
      return Error(found.error());
    }
  }
  return report;
}

// Of a cache image; empty: it is none.
Result<std::optional<CheckReport>> check_cache(const CheckArgs& args) {
  const Result<FilePtr> file = PosixFile::open(args.path);
  if (!file || !args.format.empty()) return std::optional<CheckReport>();
  if (!TRY_IN(args.path, is_cache_image(**file))) return std::optional<CheckReport>();
  if (args.repair != Repair::none) {
    return Error(Errc::unsupported,
                 args.path + ": a cache image is not mended: what is wrong in it does not count");
  }
  TRY((*file)->lock(LockMode::read));
  CheckReport report;
  TRY_IN(args.path, check_cache_image(**file, report));
  return std::optional(std::move(report));
}

}  // namespace

Result<CheckReport> check_image(const CheckArgs& args) {
  if (std::optional<CheckReport> report = TRY(check_cache(args))) return *std::move(report);
  if (const ArchivePtr archive = TRY(archive_at(args.path, find_format(args.format)))) {
    return check_archive(args, *archive);
  }
  const bool repairs = args.repair != Repair::none;
  const auto container =
      TRY(Container::open(args.path, {.format = args.format,
                                      .parents = false,
                                      .access = repairs ? Access::write : Access::read,
                                      .lock = true,
                                      .writer = {.flush_every_ms = 0}}));
  CheckReport report;
  TRY_IN(args.path, container->chain().front().image->check(args.repair, report));
  return report;
}

int check_status(const Result<CheckReport>& outcome) {
  if (outcome) return outcome->corruptions != 0 ? 2 : outcome->leaks != 0 ? 3 : 0;
  switch (outcome.error().code()) {
    case Errc::corrupt: return 2;
    case Errc::unsupported: return 63;
    default: return 1;
  }
}

}  // namespace platter
