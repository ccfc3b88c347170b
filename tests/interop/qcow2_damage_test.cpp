// Images that QEMU made, damaged at random: we find in them what qemu-img check finds, and what we
// mend qemu-img finds nothing in.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "formats/qcow2/check_census.h"
#include "lib/base/checked.h"
#include "lib/container/container.h"
#include "lib/container/extent_walk.h"
#include "lib/io/posix_file.h"
#include "lib/ops/check.h"
#include "tests/support/qemu.h"
#include "tests/support/rounds.h"
#include "tests/support/temp_dir.h"

namespace platter::qcow2 {
namespace {

using test::have_qemu;
using test::run;
using test::TempDir;

struct Variant {
  std::string name;
  std::string options;  // of qemu-img create
  bool snapshots = true;
  bool compressed = true;
  bool bitmap = false;
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

const std::vector<Variant>& variants() {
  static const std::vector<Variant> list = {
      {.name = "plain", .options = "cluster_size=64k"},
      {.name = "small_clusters", .options = "cluster_size=512"},
      {.name = "wide_refcounts", .options = "cluster_size=4k,refcount_bits=64"},
      {.name = "narrow_refcounts",
       .options = "cluster_size=4k,refcount_bits=1",
       .snapshots = false,
       .compressed = false},
      {.name = "refcounts_of_2_bits",
       .options = "cluster_size=2k,refcount_bits=2",
       .compressed = false},
      {.name = "refcounts_of_8_bits",
       .options = "cluster_size=1k,refcount_bits=8",
       .compressed = false},
      {.name = "subclusters", .options = "cluster_size=16k,extended_l2=on"},
      {.name = "version_2", .options = "cluster_size=4k,compat=0.10"},
      {.name = "data_file",
       .options = "cluster_size=4k,data_file=data.raw",
       .snapshots = false,
       .compressed = false},
      {.name = "zstd", .options = "cluster_size=32k,compression_type=zstd"},
      {.name = "bitmap", .options = "cluster_size=4k", .bitmap = true},
  };
  return list;
}

// Compressed clusters cannot be written twice: they are behind the others.
constexpr uint64_t kDisk = 3 * MiB, kCompressed = 256 * KiB;

std::string scribble(const Variant& variant, bool compress, std::mt19937_64& random) {
  std::string command = "qemu-io -f qcow2";
  for (int i = 0; i < 10; ++i) {
    const uint64_t at = random() % (kDisk / 4096) * 4096;
    const uint64_t length = std::min((1 + random() % 40) * 4096, kDisk - at);
    const bool zero = i % 5 == 4 && variant.name != "version_2";
    command += zero ? fmt::format(" -c 'write -z {} {}'", at, length)
                    : fmt::format(" -c 'write -P {} {} {}'", 1 + random() % 255, at, length);
  }
  for (uint64_t at = 0; compress && at < kCompressed; at += 64 * KiB) {
    command += fmt::format(" -c 'write -c -P {} {} 64k'", 1 + random() % 255, kDisk + at);
  }
  return command + " base.qcow2";
}

// Where the tables of an image are: bytes of the file, the smaller the likelier to be hit.
struct Places {
  std::vector<Range> tables;    // L1, refcount table, snapshot table and so on
  std::vector<uint64_t> words;  // entries of tables that are not 0
};

Places places_of(File& file) {
  const auto image = load_for_check(file);
  EXPECT_TRUE(image) << image.error().message();
  const Header& header = image->header;
  TableWalk walk(file, header, image->snapshots.list);
  Places out;
  for (const L1Place& place : walk.tables())
    out.tables.push_back({place.table.offset, place.table.entries * 8});
  out.tables.push_back(
      {header.refcount_table.offset, std::min<uint64_t>(header.refcount_table.entries * 8, 64)});
  if (!image->snapshots.places.empty()) out.tables.push_back(image->snapshots.place());
  if (header.bitmaps != 0)
    out.tables.push_back({header.bitmap_directory.offset, header.bitmap_directory.entries * 8});
  out.tables.push_back({8, header.header_length - 8});
  EXPECT_TRUE(walk.for_each_l2([&](const L2Use& use, L2Entries& entries) -> Result<void> {
    const uint64_t size = header.extended_l2 ? 16 : 8;
    for (uint64_t i = 0; i < entries.size(); ++i) {
      if (entries[i].word == 0 && entries[i].bitmap == 0) continue;
      for (uint64_t at = 0; at < size; at += 8) out.words.push_back(use.offset + i * size + at);
    }
    return {};
  }));
  auto stored = StoredRefcounts::load(file, header, nullptr);
  EXPECT_TRUE(stored);
  for (const uint64_t block : stored->blocks()) {
    const uint64_t counted = div_up(header.file_size, header.cluster_size());
    const uint64_t bytes =
        std::min(div_up(counted << header.refcount_order, 8), header.cluster_size());
    for (uint64_t at = 0; block != 0 && at < bytes; at += 8) out.words.push_back(block + at);
  }
  return out;
}

uint64_t word_at(const std::string& bytes, uint64_t at) {
  return at + 8 > bytes.size() ? 0 : uint64_t{load<be64>(std::as_bytes(std::span(bytes)), at)};
}

// One or two faults: a bit, a word of nothing, of anything, or of another entry; and some files end
// early.
std::string damaged(std::string bytes, const Places& places, std::mt19937_64& random) {
  const auto pick = [&]() -> uint64_t {
    if (random() % 2 == 0) return places.words[random() % places.words.size()];
    const Range& table = places.tables[random() % places.tables.size()];
    return table.offset + random() % std::max<uint64_t>(table.length / 8, 1) * 8;
  };
  for (uint64_t faults = 1 + random() % 2; faults > 0; --faults) {
    const uint64_t at = pick();
    uint64_t word = word_at(bytes, at);
    switch (random() % 8) {
      case 0: word = 0; break;
      case 1: word = random(); break;
      case 2: word = word_at(bytes, pick()); break;
      default: word ^= uint64_t{1} << random() % 64;
    }
    const be64 raw(word);
    if (at + 8 <= bytes.size()) std::memcpy(bytes.data() + at, &raw, sizeof raw);
  }
  if (random() % 16 == 0) bytes.resize(bytes.size() / 2 + random() % (bytes.size() / 2));
  return bytes;
}

// What a person makes of an exit status: where the check could not even run (1, 63), the image is
// no better than corrupt.
enum class Verdict : unsigned char { clean, leaks, corrupt };

Verdict verdict_of(int status) {
  if (status == 0) return Verdict::clean;
  return status == 3 ? Verdict::leaks : Verdict::corrupt;
}

// What a check of ours says, and in which words.
struct Found {
  explicit Found(const Result<CheckReport>& outcome) : verdict(verdict_of(check_status(outcome))) {
    if (outcome) {
      messages = outcome->messages;
    } else {
      messages = {outcome.error().message()};
    }
  }
  std::string text() const { return fmt::format("ours:\n  {}\n", fmt::join(messages, "\n  ")); }

  Verdict verdict;
  std::vector<std::string> messages;
};

// Faults that QEMU does not look for. Where they are all there is, it finds less than we do.
bool qemu_does_not_look_for(const std::string& message) {
  static const std::vector<std::string> known = {
      // It is what keeps QEMU itself from writing to the image.
      "is marked as corrupt",
      // QEMU fails to read such a cluster, as we do.
      "which version 2 does not know",
      "is not at its own place in the data file",
      // What is missing reads as unallocated there, silently.
      "cut short by the end of the file",
      "L1 table: too small",
      // A name that lies in the header is taken for one there.
      "backing file name: lies inside the header",
  };
  return std::any_of(known.begin(), known.end(), [&](const std::string& part) {
    return message.find(part) != std::string::npos;
  });
}

bool is_leak(const std::string& message) {
  const size_t at = message.find(": refcount ");
  unsigned long long refcount = 0, uses = 0;
  return at != std::string::npos &&
         std::sscanf(message.c_str() + at, ": refcount %llu, but it is used %llu times", &refcount,
                     &uses) == 2 &&
         refcount > uses;
}

// QEMU measures the L1 table before it rounds the disk down to whole sectors.
bool qemu_wants_more_entries(const std::string& bytes, const std::string& theirs) {
  return word_at(bytes, offsetof(RawHeader, size)) % 512 != 0 &&
         theirs.find("L1 table is too small") != std::string::npos;
}

void expect_same_verdict(const Found& ours, int status, const std::string& theirs,
                         const std::string& when) {
  const Verdict verdict = verdict_of(status);
  if (ours.verdict == verdict) return;
  const auto unknown = [](const std::string& m) { return is_leak(m) || qemu_does_not_look_for(m); };
  const bool leaks = std::any_of(ours.messages.begin(), ours.messages.end(), is_leak);
  if (ours.verdict == Verdict::corrupt && leaks == (verdict == Verdict::leaks) &&
      std::all_of(ours.messages.begin(), ours.messages.end(), unknown)) {
    return;
  }
  ADD_FAILURE() << when << ", " << ours.text() << "qemu-img, which exits with " << status << ":\n"
                << theirs;
}

// Bytes of a state of the disk, a block at a time; none: reading it is an error, or what is there
// is a table, too, and so changes with it.
constexpr uint64_t kBlock = 4096;
using Contents = std::vector<std::optional<std::vector<std::byte>>>;

// Of each state; empty when the image cannot be opened.
std::vector<Contents> read_states(const std::string& path, const std::set<uint64_t>& tables) {
  const auto container = Container::open(path, {.format = "qcow2"});
  if (!container) return {};
  const Image& image = *(*container)->chain().front().image;
  const auto in_table = [&](const View& view, const Range& block) {
    bool found = false;
    const auto done = walk(view, block, [&](const View::Mapped& m) -> Result<bool> {
      if (m.extent.kind != Extent::Kind::data && m.extent.kind != Extent::Kind::encoded)
        return true;
      const uint64_t length =
          m.extent.kind == Extent::Kind::data ? m.extent.guest.length : m.extent.stored;
      for (uint64_t at = m.extent.host / 512; at <= (m.extent.host + length - 1) / 512; ++at) {
        found = found || tables.contains(at);
      }
      return !found;
    });
    return found || !done;
  };
  std::vector<Contents> out;
  for (SnapshotId id = 0; id <= image.snapshots().size(); ++id) {
    const View& view = id == 0 ? *(*container)->live() : *(*container)->states()[id - 1].view;
    Contents& contents = out.emplace_back();
    for (uint64_t at = 0; at < view.size(); at += kBlock) {
      const Range block{at, std::min(kBlock, view.size() - at)};
      std::vector<std::byte> bytes(block.length);
      const bool known = view.read(at, bytes).has_value() && !in_table(view, block);
      contents.push_back(known ? std::optional(std::move(bytes)) : std::nullopt);
    }
  }
  return out;
}

// Sectors of the file that tables are in.
std::set<uint64_t> tables_of(File& file) {
  std::set<uint64_t> sectors;
  const auto image = load_for_check(file);
  if (!image) return sectors;
  const Header& header = image->header;
  const auto add = [&](uint64_t offset, uint64_t length) {
    for (uint64_t at = offset / 512; at < div_up(offset + length, 512); ++at) sectors.insert(at);
  };
  add(0, header.cluster_size());
  add(header.refcount_table.offset, header.refcount_table.entries * 8);
  add(image->snapshots.place().offset, image->snapshots.place().length);
  TableWalk walk(file, header, image->snapshots.list);
  for (const L1Place& place : walk.tables()) add(place.table.offset, place.table.entries * 8);
  (void)walk.for_each_l2([&](const L2Use& use, L2Entries&) -> Result<void> {
    add(use.offset, header.cluster_size());
    return {};
  });
  if (const auto stored = StoredRefcounts::load(file, header, nullptr)) {
    for (const uint64_t block : stored->blocks()) {
      if (block != 0) add(block, header.cluster_size());
    }
  }
  return sectors;
}

// What could be read reads the same. The states of a snapshot table that was cut off are gone.
void expect_same_contents(const std::vector<Contents>& before, const std::vector<Contents>& after,
                          const std::string& when) {
  if (before.empty()) return;
  ASSERT_FALSE(after.empty()) << when << ": can no longer be opened";
  for (size_t state = 0; state < std::min(before.size(), after.size()); ++state) {
    ASSERT_EQ(before[state].size(), after[state].size()) << when;
    for (size_t i = 0; i < before[state].size(); ++i) {
      if (!before[state][i] || before[state][i] == after[state][i]) continue;
      ADD_FAILURE() << when << ": state " << state << " differs at " << i * kBlock
                    << (after[state][i] ? "" : ": it can no longer be read");
      break;
    }
  }
}

class Qcow2Damage : public testing::TestWithParam<Variant> {
 protected:
  void make(std::mt19937_64& random) {
    const Variant& variant = GetParam();
    must_run(fmt::format("qemu-img create -q -f qcow2 -o {} base.qcow2 {}", variant.options,
                         kDisk + (variant.compressed ? kCompressed : 0)));
    for (int state = 0; state < (variant.snapshots ? 3 : 1); ++state) {
      must_run(scribble(variant, variant.compressed && state == 0, random));
      if (variant.snapshots && state < 2) {
        must_run(fmt::format("qemu-img snapshot -c s{} base.qcow2", state));
      }
    }
    if (variant.bitmap) must_run("qemu-img bitmap --add -g 64k base.qcow2 b0");
    must_run("qemu-img check base.qcow2");
  }
  void must_run(const std::string& command) {
    ASSERT_EQ(run(dir_, command), 0) << command << "\n" << test::read_file(dir_ / "out.txt");
  }

  CheckArgs image(Repair repair) const {
    return {.path = dir_ / "bad.qcow2", .format = "qcow2", .repair = repair};
  }
  std::set<uint64_t> tables() const {
    const auto file = PosixFile::open(dir_ / "bad.qcow2");
    return file ? tables_of(**file) : std::set<uint64_t>{};
  }
  void check_one(const std::string& bytes, const std::string& when);

  TempDir dir_;
};

void Qcow2Damage::check_one(const std::string& bytes, const std::string& when) {
  const std::string check = "timeout 60 qemu-img check -f qcow2 bad.qcow2";
  const std::string convert = "timeout 60 qemu-img convert -f qcow2 -O raw bad.qcow2 ";
  test::write_file(dir_ / "bad.qcow2", std::string_view(bytes));
  const int theirs = run(dir_, check);
  if (qemu_wants_more_entries(bytes, test::read_file(dir_ / "out.txt"))) return;
  const Found found(check_image(image(Repair::none)));
  expect_same_verdict(found, theirs, test::read_file(dir_ / "out.txt"), when);

  const std::set<uint64_t> sectors = tables();
  const std::vector<Contents> before = read_states(dir_ / "bad.qcow2", sectors);
  const bool read_before = run(dir_, convert + "before.raw") == 0;
  Found left(check_image(image(Repair::all)));
  std::erase_if(left.messages,
                [](const std::string& message) { return !message.starts_with("not repaired: "); });
  const int theirs_left = run(dir_, check);
  // Clean wherever we say so.
  expect_same_verdict(left, theirs_left, found.text() + test::read_file(dir_ / "out.txt"),
                      when + ", mended");
  expect_same_contents(before, read_states(dir_ / "bad.qcow2", {}), when + found.text());
  const bool whole =
      !before.empty() && std::all_of(before[0].begin(), before[0].end(),
                                     [](const auto& block) { return block.has_value(); });
  if (!whole || !read_before) return;
  EXPECT_EQ(run(dir_, convert + "after.raw && cmp before.raw after.raw"), 0)
      << when << test::read_file(dir_ / "out.txt");
}

TEST_P(Qcow2Damage, IsFoundAsQemuFindsItAndMendedToItsSatisfaction) {
  if (!have_qemu()) GTEST_SKIP() << "qemu-img and qemu-io are not installed";
  uint64_t seed = 0;
  for (const char letter : GetParam().name) seed = seed * 31 + static_cast<unsigned char>(letter);
  std::mt19937_64 random(seed);
  make(random);
  if (HasFatalFailure()) return;
  const std::string base = test::read_file(dir_ / "base.qcow2");
  const auto file = PosixFile::open(dir_ / "base.qcow2");
  ASSERT_TRUE(file);
  const Places places = places_of(**file);
  // More than 500 of all variants in a long run.
  const uint64_t images = test::rounds(1) == 1 ? 4 : 46;
  for (uint64_t i = 0; i < images; ++i) {
    check_one(damaged(base, places, random), fmt::format("image {}", i));
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Qcow2Damage, testing::ValuesIn(variants()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace platter::qcow2
