// Where the tables of chunks are: in a property list, or in a resource fork.
#pragma once

#include <functional>
#include <string>

#include "formats/dmg/trailer.h"

namespace platter::dmg {

// number: of the table, from 0. name: of the part of the disk, as stored; empty: none. bytes: what
// should be a table, and is not looked at yet.
using VisitTable = std::function<Result<void>(size_t number, const std::string& name, Bytes bytes)>;

// In their order. Errc::corrupt: the list or the fork is damaged; unsupported: there is neither.
// Memory: their size, twice.
Result<void> for_each_table(const File& file, const Places& places, const VisitTable& visit);

}  // namespace platter::dmg
