#include "tests/support/created_image.h"

#include <stdexcept>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "tests/support/bytes.h"
#include "tests/support/mount.h"
#include "tests/support/test_keys.h"

namespace platter::test {
namespace {

// Exit status of `platter check`.
constexpr int kClean = 0, kLeaksOnly = 3, kNotSupported = 63;

void expect_made(const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {program("platter"), "create", "-q"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Outcome made = run(command);
  if (made.status != 0) throw std::runtime_error(made.err);
}

// An eighth of the disk.
void fill_parent(const std::string& path, const std::string& format) {
  const auto container = Container::open(path, {.format = format, .access = Access::write});
  if (!container) throw std::runtime_error(container.error().message());
  const uint64_t size = (*container)->live()->size();
  Writer& writer = *(*container)->writer();
  for (uint64_t at = 333 * KiB + 512; at < size; at += 4 * MiB) {
    const Range range = intersect({at, 512 * KiB + 1024}, {0, size});
    Result<void> done = writer.write(at, pattern(at, range.length, 1));
    if (!done) throw std::runtime_error(done.error().message());
  }
  if (const auto done = writer.close(); !done)
    throw std::runtime_error("the parent is not written");
}

}  // namespace

std::vector<HowMade> bases_to_make() {
  std::vector<HowMade> ways;
  for (const Format* format : all_formats()) {
    if (!format->can_write() || !format->can_create()) continue;
    const std::string name(format->name());
    ways.push_back({name, name, false});
  }
  return ways;
}

std::vector<HowMade> ways_to_make() {
  std::vector<HowMade> ways = bases_to_make();
  for (const HowMade& base : bases_to_make()) {
    if (!find_format(base.format)->can_create_child()) continue;
    ways.push_back({base.name + "_child", base.format, true});
  }
  return ways;
}

std::vector<HowMade> sparse_ways_to_make() {
  constexpr uint64_t kSize = 4 * MiB;
  std::vector<HowMade> ways = ways_to_make();
  std::erase_if(ways, [](const HowMade& how) {
    const Format& format = *find_format(how.format);
    const auto file = std::make_shared<MemoryFile>("new");
    const Options options = quick_options(format);
    const auto writer =
        format.create({.file = file, .size = kSize, .options = options, .keys = test_keys()});
    return !writer || !(*writer)->finish() || file->stat()->allocated >= kSize;
  });
  return ways;
}

void PrintTo(const HowMade& how, std::ostream* out) { *out << how.name; }

CreatedImage::CreatedImage(const HowMade& how, const std::string& directory, uint64_t size)
    : format_(how.format),
      path_(directory + "/disk." + how.format),
      key_file_(key_file_in(directory)) {
  std::vector<std::string> arguments = {"-f", format_, "--key-file", key_file_};
  for (const auto& [name, value] : quick_options(*find_format(format_))) {
    arguments.insert(arguments.end(), {"-o", name + "=" + value});
  }
  if (how.child) {
    parent_ = directory + "/base." + format_;
    expect_made({"-f", format_, parent_, std::to_string(size)});
    fill_parent(parent_, format_);
    arguments.insert(arguments.end(), {"--parent", parent_, "--parent-format", format_});
  }
  arguments.insert(arguments.end(), {path_, std::to_string(size)});
  expect_made(arguments);
  const auto made = Container::open(path_, {.format = format_, .parents = false});
  encrypted_ = made && (*made)->info().encrypted;
}

std::vector<std::string> CreatedImage::options(const std::vector<std::string>& more) const {
  std::vector<std::string> all = {"-oformat=" + format_, "-okey-file=" + key_file_};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::string CreatedImage::fault() const {
  const Outcome checked = run({program("platter"), "check", "-f", format_, path_});
  const bool can_check = find_format(format_)->can_check();
  if (can_check ? checked.status == kClean || checked.status == kLeaksOnly
                : checked.status == kNotSupported) {
    return "";
  }
  return "status " + std::to_string(checked.status) + ": " + checked.out + checked.err;
}

}  // namespace platter::test
