#include "tests/support/file_tree.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

namespace platter::test {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kInOneDirectory = 100;

std::string name_of(const FileTree& tree, unsigned i) {
  return tree.root + "/" + std::to_string(i / kInOneDirectory) + "/file " + std::to_string(i);
}

std::string contents_of(const FileTree& tree, unsigned i) {
  const uint64_t seed = tree.seed * 1000003 + i;
  std::mt19937_64 random(seed);
  const size_t most = i % 100 == 7 ? 600000 : 9000;
  return file_contents(seed, random() % most);
}

}  // namespace

std::string file_contents(uint64_t seed, size_t size) {
  std::string bytes(size, '\0');
  std::mt19937_64 random(seed);
  for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
    const uint64_t word = random();
    bytes.replace(at, std::min(sizeof word, size - at), reinterpret_cast<const char*>(&word),
                  std::min(sizeof word, size - at));
  }
  return bytes;
}

std::string FileTree::write() const {
  std::error_code error;
  for (unsigned i = 0; i < files; ++i) {
    const std::string name = name_of(*this, i);
    if (i % kInOneDirectory == 0) fs::create_directories(fs::path(name).parent_path(), error);
    std::ofstream out(name, std::ios::binary | std::ios::trunc);
    const std::string contents = contents_of(*this, i);
    out.write(contents.data(), static_cast<std::streamsize>(contents.size()));
    if (!out.flush()) return name;
  }
  return "";
}

std::string FileTree::difference() const {
  for (unsigned i = 0; i < files; ++i) {
    const std::string name = name_of(*this, i);
    std::ifstream in(name, std::ios::binary);
    const std::string found{std::istreambuf_iterator<char>(in), {}};
    if (!in || found != contents_of(*this, i)) return name;
  }
  std::error_code error;
  unsigned count = 0;
  for (fs::recursive_directory_iterator entry(root, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_regular_file(error)) ++count;
  }
  if (error) return error.message();
  return count == files ? "" : std::to_string(count) + " files";
}

}  // namespace platter::test
