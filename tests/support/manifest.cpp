#include "tests/support/manifest.h"

#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "lib/image/registry.h"
#include "lib/io/posix_file.h"
#include "tests/support/corpus.h"
#include "tests/support/sha256.h"

namespace platter::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields(1);
  for (const char c : line) {
    if (c == '\t') {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

// Bytes that nobody claims, whatever they are called: a raw disk as good as any.
bool taken_for_raw(const fs::path& path) {
  const auto file = PosixFile::open(path);
  const auto probed = file ? probe(**file) : Probed{};
  return probed && probed->guessed;
}

std::string line_about(const fs::path& file) {
  return fmt::format("{} {} {} {}\n", file.string(), fs::file_size(file),
                     fs::last_write_time(file).time_since_epoch().count(), sha256_of_file(file));
}

}  // namespace

std::vector<CorpusImage> corpus_images() {
  std::vector<CorpusImage> images;
  const auto manifest = corpus_file("manifest.tsv");
  if (!manifest) return images;
  std::ifstream in(*manifest);
  std::string line;
  std::getline(in, line);
  const std::vector<std::string> head = fields_of(line);
  while (std::getline(in, line)) {
    std::map<std::string, std::string> row;
    const std::vector<std::string> fields = fields_of(line);
    for (size_t i = 0; i < std::min(head.size(), fields.size()); ++i) row[head[i]] = fields[i];
    if (find_format(row["format"]) == nullptr) continue;
    const fs::path path = fs::path(*manifest).parent_path() / row["path"];
    if (row["expect"] == "refuse/probe" && taken_for_raw(path)) continue;
    images.push_back({.path = path,
                      .name = row["path"],
                      .format = row["format"],
                      .size = row["virtual_size"],
                      .digest = row["sha256_raw"],
                      .expect = row["expect"],
                      .stored = row["stored"]});
  }
  return images;
}

std::string test_name_of(const CorpusImage& image) {
  std::string name;
  for (const char c : image.name)
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

std::string fingerprint(const CorpusImage& image) {
  const fs::path path = image.path;
  if (path.parent_path().extension() != ".d") return line_about(path);
  std::map<std::string, std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(path.parent_path())) {
    if (entry.is_regular_file()) lines[entry.path()] = line_about(entry.path());
  }
  std::string text;
  for (const auto& [file, about] : lines) text += about;
  return text;
}

}  // namespace platter::test
