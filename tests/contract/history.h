// Random histories of writes, zeroes, discards and flushes, on a disk and on its model.
#pragma once

#include <random>

#include "tests/contract/subject.h"
#include "tests/support/model_disk.h"

namespace platter::test {

struct Operation {
  enum class Kind : unsigned char { write, zero, discard, flush } kind = Kind::write;
  Range range;      // inside the disk; not of a flush
  std::byte value;  // of a write; zero now and then
};

// step: 1 to 255, so that each write of a history can have a value of its own.
Operation draw(std::mt19937_64& random, uint64_t disk_size, unsigned step);

Result<void> apply(Writer& disk, const Operation& operation);
void apply(ModelDisk& model, const Operation& operation);

}  // namespace platter::test
