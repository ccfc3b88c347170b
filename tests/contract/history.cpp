#include "tests/contract/history.h"

namespace platter::test {

Operation draw(std::mt19937_64& random, uint64_t disk_size, unsigned step) {
  Operation op;
  // Small ones, some aligned as a guest's are, and some that cover blocks.
  uint64_t offset = random() % disk_size;
  uint64_t length = 1 + random() % (random() % 3 == 0 ? disk_size / 3 : 700);
  if (random() % 2 == 0) {
    offset = align_down(offset, 512);
    length = align_up(length, 512);
  }
  op.range = intersect({offset, length}, {0, disk_size});
  const unsigned what = random() % 8;
  if (what == 0) op.kind = Operation::Kind::flush;
  if (what == 1) op.kind = Operation::Kind::zero;
  if (what == 2) op.kind = Operation::Kind::discard;
  op.value = static_cast<std::byte>(what == 3 ? 0 : step);
  return op;
}

Result<void> apply(Writer& disk, const Operation& op) {
  switch (op.kind) {
    case Operation::Kind::write:
      return disk.write(op.range.offset, std::vector<std::byte>(op.range.length, op.value));
    case Operation::Kind::zero: return disk.zero(op.range, File::Zero::keep_space);
    case Operation::Kind::discard: return disk.discard(op.range);
    case Operation::Kind::flush: return disk.flush();
  }
  return {};
}

void apply(ModelDisk& model, const Operation& op) {
  if (op.kind == Operation::Kind::flush) return model.flushed();
  model.write(op.range, op.kind == Operation::Kind::write ? op.value : std::byte{0});
}

}  // namespace platter::test
