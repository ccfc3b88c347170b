// What Platter does to an image that another program writes in its turns.
#pragma once

#include <algorithm>
#include <functional>
#include <random>
#include <string>

#include "lib/container/writer.h"

namespace platter::test {

// Whole sectors somewhere in a disk of size bytes: mostly a few, now and then a large part of it.
inline Range draw_sectors(std::mt19937_64& random, uint64_t size) {
  const uint64_t sectors = size / 512;
  const uint64_t first = random() % sectors;
  const uint64_t most = random() % 4 == 0 ? sectors / 2 : 140;
  const uint64_t count = std::min(1 + random() % most, sectors - first);
  return {first * 512, count * 512};
}

// What a parent has that is two thirds as long as its child's model, and shows through there: data
// with holes, in no step with clusters.
inline std::string make_parent(std::string& model) {
  const uint64_t length = align_down(model.size() * 2 / 3, 512);
  for (uint64_t i = 0; i < length; ++i) {
    if (i / 5000 % 3 != 0) model[i] = static_cast<char>(1 + i / 700 % 200);
  }
  return model.substr(0, length);
}

// One of write, zero, discard and flush, of bytes or of sectors, to the disk and to the model of
// it. touched: told of what it may change.
inline Result<void> change_at_random(
    Writer& writer, std::mt19937_64& random, std::string& model,
    const std::function<void(const Range&)>& touched = [](const Range&) {}) {
  Range range = draw_sectors(random, model.size());
  if (random() % 2 == 0) {
    range.offset += random() % 300;
    range.length = std::min(range.length, model.size() - range.offset);
  }
  touched(range);
  char* const at = model.data() + range.offset;
  const uint64_t what = random() % 8;
  if (what == 0) return writer.flush();
  if (what <= 2) {
    std::fill_n(at, range.length, '\0');
    return what == 1 ? writer.zero(range, File::Zero::keep_space) : writer.discard(range);
  }
  for (uint64_t k = 0; k < range.length; ++k) at[k] = static_cast<char>(random());
  return writer.write(range.offset, std::as_bytes(std::span(at, range.length)));
}

}  // namespace platter::test
