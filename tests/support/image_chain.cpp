#include "tests/support/image_chain.h"

#include <random>
#include <sstream>
#include <stdexcept>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/child.h"
#include "lib/ops/create.h"
#include "tests/support/bytes.h"

namespace platter::test {
namespace {

void must(const Result<void>& done) {
  if (!done) throw std::runtime_error(done.error().message());
}

Options options_from(const std::string& words) {
  Options options;
  std::istringstream list(words);
  for (std::string word; std::getline(list, word, ',');) {
    const size_t equals = word.find('=');
    options.emplace(word.substr(0, equals), word.substr(equals + 1));
  }
  return options;
}

// parent: empty: none.
void make_part(const std::string& path, const ChainPart& part, const std::string& parent) {
  const Format& format = *find_format(part.format);
  CreateArgs args{.path = path, .format = format, .size = part.size};
  args.options = options_from(part.options);
  if (!parent.empty()) {
    const auto described = describe_parent({.path = parent,
                                            .format = parent.ends_with(".raw") ? "raw" : "",
                                            .child = path,
                                            .child_format = &format});
    if (!described) throw std::runtime_error(described.error().message());
    args.parent = described->link;
    if (args.size == 0) args.size = described->size;
  }
  if (args.size == 0) args.size = kChainSize;
  must(create_image(args));
}

}  // namespace

void write_pieces(const std::string& path, unsigned seed) {
  const auto container = Container::open(
      path, {.format = path.ends_with(".raw") ? "raw" : "", .access = Access::write});
  if (!container) throw std::runtime_error(container.error().message());
  Writer& writer = *(*container)->writer();
  std::mt19937_64 random(seed);
  const uint64_t size = (*container)->live()->size();
  for (int i = 0; i < 8; ++i) {
    const uint64_t at = random() % size;
    const Range range{at, std::min(size - at, 1 + random() % (200 * KiB))};
    if (random() % 3 == 0) {
      must(writer.zero(range, File::Zero::free_space));
    } else {
      must(writer.write(at, pattern(at, range.length, seed)));
    }
  }
  must(writer.close());
}

ImageChain::ImageChain(std::string directory, const std::vector<ChainPart>& parts, unsigned seed)
    : directory_(std::move(directory)) {
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string path = directory_ + "/" + std::to_string(i) + "." + parts[i].format;
    make_part(path, parts[i], i == 0 ? "" : paths_.front());
    write_pieces(path, 100 * seed + static_cast<unsigned>(i));
    paths_.insert(paths_.begin(), path);
  }
}

std::string ImageChain::add_child(size_t depth, const ChainPart& part,
                                  const std::string& name) const {
  const std::string path = directory_ + "/" + name + "." + part.format;
  make_part(path, part, paths_[depth]);
  write_pieces(path, 77);
  return path;
}

std::vector<std::byte> disk_of(const std::string& path) {
  const auto container = Container::open(path);
  if (!container) return {};
  std::vector<std::byte> out((*container)->live()->size());
  if (!(*container)->live()->read(0, out)) return {};
  return out;
}

std::string fault_of(const std::string& path) {
  const auto container = Container::open(path);
  return container ? "" : container.error().message();
}

}  // namespace platter::test
