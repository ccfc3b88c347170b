#include "lib/container/choose_snapshot.h"

#include <fmt/format.h>

namespace platter {

std::vector<size_t> find_snapshots(const std::vector<SnapshotInfo>& snapshots,
                                   std::string_view wanted, NamedBy named_by) {
  const auto with = [&](std::string SnapshotInfo::*field, std::string_view text) {
    std::vector<size_t> found;
    for (size_t i = 0; i < snapshots.size(); ++i) {
      if (snapshots[i].*field == text) found.push_back(i);
    }
    return found;
  };
  if (wanted.starts_with("id:")) return with(&SnapshotInfo::format_id, wanted.substr(3));
  if (wanted.starts_with("name:")) return with(&SnapshotInfo::name, wanted.substr(5));
  auto first = &SnapshotInfo::name, second = &SnapshotInfo::format_id;
  if (named_by == NamedBy::id_or_name) std::swap(first, second);
  std::vector<size_t> found = with(first, wanted);
  if (found.empty() && named_by != NamedBy::name) found = with(second, wanted);
  return found;
}

Result<SnapshotInfo> choose_snapshot(const std::vector<SnapshotInfo>& snapshots,
                                     std::string_view wanted, NamedBy named_by) {
  const std::vector<size_t> found = find_snapshots(snapshots, wanted, named_by);
  if (found.size() > 1) return several_snapshots(found.size(), wanted);
  if (!found.empty()) return SnapshotInfo(snapshots[found.front()]);
  return Error(Errc::not_found, fmt::format("there is no snapshot \"{}\"", wanted));
}

Error several_snapshots(size_t count, std::string_view wanted) {
  return {Errc::invalid,
          fmt::format("{} snapshots are called \"{}\": say which with id:ID", count, wanted)};
}

}  // namespace platter
