// A larger refcount table, when the file grows past what the one there is can count.
#pragma once

#include "formats/qcow2/refcounts.h"

namespace platter::qcow2 {

struct Growth {
  Range blocks, table, old_table;  // bytes of the file
};

// A table that counts the cluster, which is at or past refcounts.covered() and nothing is behind:
// it, and the blocks that count it, go there. All is durable and the header names the new table
// when this returns; after an error the header names the old one, or not_sure is set and nothing
// may be allocated any more. order has refcounts.blocks() as its first table.
Result<Growth> grow_refcount_table(File& file, const Header& header, Refcounts& refcounts,
                                   FlushOrder& order, uint64_t cluster, bool& not_sure);

}  // namespace platter::qcow2
