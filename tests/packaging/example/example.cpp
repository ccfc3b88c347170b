// example DIRECTORY: makes a disk with a child there, and copies what both together show.
#include <platter/images.h>
#include <platter/requests.h>

#include <cstdio>
#include <string>
#include <vector>

namespace {

// The first error ends the program.
template <class T>
T value(platter::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().message().c_str());
    std::exit(1);
  }
  return *std::move(result);
}
void expect(const platter::Result<void>& result) {
  if (result) return;
  std::fprintf(stderr, "%s\n", result.error().message().c_str());
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string directory = std::string(argv[1]) + "/";
  platter::VirtualDisk disk;
  expect(disk.create_base({.path = directory + "base.vdi", .format = "vdi", .size = 8 << 20}));
  expect(disk.create_child({.path = directory + "child.qcow2", .format = "qcow2"}));
  const std::vector<std::byte> data(4096, std::byte{'p'});
  {
    platter::Requests requests(disk);
    for (uint64_t at = 0; at < 1 << 20; at += 2 * data.size()) requests.write(at, data, expect);
    requests.flush(expect);
  }
  std::printf("%zu images, %llu bytes\n", disk.count(), (unsigned long long)disk.size());
  expect(disk.close_all());
  expect(platter::copy_image({.path = directory + "child.qcow2"},
                             {.path = directory + "copy.vhd", .format = "vhd"}));
  const auto difference = value(platter::compare_images({.path = directory + "child.qcow2"},
                                                        {.path = directory + "copy.vhd"}));
  std::printf("%s\n", difference ? "they differ" : "the copy is the same");
  return difference ? 1 : 0;
}
