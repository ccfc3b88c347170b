#include "formats/qcow2/refcount_growth.h"

#include <algorithm>

#include "formats/qcow2/header_fields.h"
#include "lib/base/checked.h"

namespace platter::qcow2 {
namespace {

// In clusters: blocks from first on, then the table.
struct Plan {
  uint64_t first = 0;
  uint64_t blocks = 0;
  uint64_t table = 0;
};

// The blocks count the table and themselves, and the table names the blocks.
Result<Plan> plan_growth(const Header& header, const Refcounts& refcounts, uint64_t first) {
  const uint64_t per_cluster = header.cluster_size() / sizeof(be64);
  const uint64_t per_block = refcounts.per_block();
  const uint64_t most = kMaxRefcountTableBytes >> header.cluster_bits;
  const uint64_t old = refcounts.where().entries / per_cluster;
  const uint64_t first_block = first / per_block;
  Plan plan{.first = first};
  for (uint64_t before = ~uint64_t{0}; before != plan.blocks + plan.table;) {
    before = plan.blocks + plan.table;
    plan.blocks = div_up(first + before, per_block) - first_block;
    plan.table =
        std::max(div_up(first_block + plan.blocks, per_cluster), std::min(old + old / 2 + 1, most));
    if (plan.table > most || first + before >= kMaxHostOffset >> header.cluster_bits) {
      return Error(Errc::no_space,
                   "refcount table: the file is too large for its clusters and refcounts");
    }
  }
  return plan;
}

// The table in memory moves; nothing that the header names changes.
Result<void> compose(const Plan& plan, const Table& table, uint32_t cluster_bits,
                     Refcounts& refcounts) {
  std::vector<be64> entries = TRY(refcounts.entries());
  entries.resize(table.entries);
  refcounts.move(table, entries);
  const uint64_t first_block = plan.first / refcounts.per_block();
  for (uint64_t i = 0; i < plan.blocks; ++i) {
    TRY(refcounts.add_block((first_block + i) * refcounts.per_block(), (plan.first + i)
                                                                           << cluster_bits));
  }
  for (uint64_t i = 0; i < plan.blocks + plan.table; ++i) TRY(refcounts.set(plan.first + i, 1));
  return {};
}

// The blocks reach the disk before the table, and the table before the header names it.
Result<void> make_durable(File& file, const Table& table, const Refcounts& refcounts,
                          FlushOrder& order) {
  TRY(order.write_first());
  const std::vector<be64> entries = TRY(refcounts.entries());
  TRY(file.write(table.offset, std::as_bytes(std::span(entries))));
  return file.sync();
}

}  // namespace

Result<Growth> grow_refcount_table(File& file, const Header& header, Refcounts& refcounts,
                                   FlushOrder& order, uint64_t cluster, bool& not_sure) {
  const Plan plan = TRY(plan_growth(header, refcounts, cluster));
  const Table old = refcounts.where();
  const Table table{(plan.first + plan.blocks) << header.cluster_bits,
                    (plan.table << header.cluster_bits) / sizeof(be64)};
  Result<void> done = compose(plan, table, header.cluster_bits, refcounts);
  if (done) done = make_durable(file, table, refcounts, order);
  if (!done) {
    refcounts.move_back(old);
    return std::move(done.error());
  }
  // Durable with the next flush, before anything points at what only the new blocks count.
  not_sure = true;
  TRY(write_refcount_table_place(file, table, header));
  not_sure = false;
  return Growth{.blocks = {plan.first << header.cluster_bits, plan.blocks << header.cluster_bits},
                .table = {table.offset, plan.table << header.cluster_bits},
                .old_table = {old.offset, old.entries * sizeof(be64)}};
}

}  // namespace platter::qcow2
