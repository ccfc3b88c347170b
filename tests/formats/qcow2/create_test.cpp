#include "formats/qcow2/create.h"

#include "tests/formats/qcow2/image_builder.h"
#include "tests/support/crash_file.h"

namespace platter::qcow2 {
namespace {

struct Made {
  FilePtr file = std::make_shared<MemoryFile>("new.qcow2");
  ImageWriterPtr writer;
};

Result<Made> make(uint64_t size, const Options& options = {}) {
  Made made;
  made.writer = TRY(create_image(CreateRequest{made.file, size, options}));
  return made;
}

Result<ImagePtr> reopen(const FilePtr& file) {
  const auto resolver = map_resolver({});
  return find_format("qcow2")->open(OpenRequest{
      .file = file, .resolver = *resolver, .tables = std::make_shared<PageCache>(1 * MiB)});
}

void expect_invalid(uint64_t size, const Options& options, std::string_view part) {
  const auto made = make(size, options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Errc::invalid);
  EXPECT_NE(made.error().message().find(part), std::string::npos) << made.error().message();
}

class Qcow2Create : public testing::TestWithParam<Options> {};

TEST_P(Qcow2Create, ReadsBackWhatWasWritten) {
  constexpr uint64_t kSize = 5 * MiB + 512;
  auto made = make(kSize, GetParam());
  ASSERT_TRUE(made) << made.error().message();
  const uint64_t block = made->writer->block_size();
  std::vector<std::byte> disk(kSize);
  const auto write = [&](uint64_t from, uint64_t to) {
    from = align_up(from, block);
    to = std::min(align_up(to, block), kSize);
    for (uint64_t i = from; i < to; ++i) disk[i] = static_cast<std::byte>(i / 100 + 1);
    ASSERT_TRUE(made->writer->write(from, Bytes(disk).subspan(from, to - from)));
  };
  write(0, 70000);
  write(1000000, 1000001);
  if (block < MiB) write(3 * MiB, 4 * MiB + 5);
  write(5 * MiB - block, kSize);
  ASSERT_TRUE(made->writer->finish());
  const auto image = reopen(made->file);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), kSize);
  EXPECT_TRUE((*image)->info().warnings.empty());
  const auto bytes = test::read(**image, {0, kSize});
  ASSERT_TRUE(bytes) << bytes.error().message();
  EXPECT_TRUE(*bytes == disk);
}

INSTANTIATE_TEST_SUITE_P(Options, Qcow2Create,
                         testing::Values(Options{}, Options{{"cluster_size", "512"}},
                                         Options{{"cluster_size", "1k"}, {"refcount_bits", "1"}},
                                         Options{{"cluster_size", "4096"}, {"compat", "0.10"}},
                                         Options{{"cluster_size", "2M"}, {"refcount_bits", "64"}},
                                         Options{{"cluster_size", "512"},
                                                 {"refcount_bits", "64"}}));

TEST(Qcow2CreateHeader, SaysWhatWasAsked) {
  auto made = make(1000, {{"refcount_bits", "8"}});
  ASSERT_TRUE(made);
  ASSERT_TRUE(made->writer->finish());
  const auto raw = made->file->read_struct<RawHeader>(0);
  ASSERT_TRUE(raw);
  EXPECT_EQ(raw->version, 3U);
  EXPECT_EQ(raw->size, 1024U) << "rounded up to whole sectors";
  EXPECT_EQ(raw->cluster_bits, 16U);
  EXPECT_EQ(raw->header_length, 112U);
  EXPECT_EQ(raw->refcount_order, 3U);
  const auto names = made->file->read_struct<RawExtension>(112);
  EXPECT_EQ(names->type, static_cast<uint32_t>(ExtensionType::feature_names));
  EXPECT_EQ(names->length, 384U);
}

TEST(Qcow2CreateHeader, HasNoRoomForFeatureNamesInSmallClusters) {
  auto made = make(1000, {{"cluster_size", "4k"}});
  ASSERT_TRUE(made);
  ASSERT_TRUE(made->writer->finish());
  EXPECT_EQ(*made->file->read_struct<be64>(112), 0U);
}

TEST(Qcow2CreateHeader, OfVersion2Is72Bytes) {
  auto made = make(1 * MiB, {{"compat", "0.10"}});
  ASSERT_TRUE(made);
  ASSERT_TRUE(made->writer->finish());
  EXPECT_EQ(*made->file->read_struct<be32>(4), 2U);
  for (uint64_t at = 72; at < 512; at += 8) EXPECT_EQ(*made->file->read_struct<be64>(at), 0U);
}

TEST(Qcow2CreateHeader, IsWrittenLast) {
  auto made = make(1 * MiB);
  ASSERT_TRUE(made);
  ASSERT_TRUE(made->writer->write(0, test::all_of(1, 65536)));
  EXPECT_EQ(*made->file->read_struct<be32>(0), 0U);
  ASSERT_TRUE(made->writer->finish());
  EXPECT_EQ(*made->file->read_struct<be32>(0), kMagic);
}

TEST(Qcow2CreateData, IsDurableInItsOwnFileBeforeTheImageIsOne) {
  const auto data = std::make_shared<platter::test::CrashFile>("data");
  const Options options;
  auto writer = create_image(CreateRequest{.file = std::make_shared<MemoryFile>("image"),
                                           .size = 1 * MiB,
                                           .options = options,
                                           .data_file = {{"data", data}}});
  ASSERT_TRUE(writer) << writer.error().message();
  ASSERT_TRUE((*writer)->write(0, test::all_of(9, 65536)));
  ASSERT_TRUE((*writer)->finish());
  EXPECT_EQ(data->unsynced(), 0U);
  EXPECT_EQ(data->stat()->size, 1 * MiB);
}

TEST(Qcow2CreateSparse, OfTheLargestSizeKeepsOnlyTheHolesOfItsTable) {
  for (const auto& [cluster, size] :
       {std::pair{"512", 128 * GiB}, std::pair{"64k", uint64_t{1} << 51},
        std::pair{"2M", uint64_t{1} << 61}}) {
    auto made = make(size, {{"cluster_size", cluster}});
    ASSERT_TRUE(made) << made.error().message();
    const uint64_t block = made->writer->block_size();
    ASSERT_TRUE(made->writer->write(size - block, test::all_of(7, block)));
    ASSERT_TRUE(made->writer->finish());
    EXPECT_LT(made->file->stat()->allocated, 6 * block + 1 * MiB);
    const auto image = reopen(made->file);
    ASSERT_TRUE(image) << image.error().message();
    EXPECT_EQ(*test::read(**image, {size - 512, 512}), test::all_of(7, 512));
    expect_invalid(size + 1, {{"cluster_size", cluster}}, "too large");
  }
}

TEST(Qcow2CreateSparse, OfNoSizeOpens) {
  auto made = make(0);
  ASSERT_TRUE(made);
  ASSERT_TRUE(made->writer->finish());
  const auto image = reopen(made->file);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ((*image)->size(), 0U);
}

TEST(Qcow2CreateOptions, RejectWhatTheFormatCannotHave) {
  for (const char* bad : {"256", "4M", "65537", "0", "", "x", "-1"}) {
    expect_invalid(MiB, {{"cluster_size", bad}}, "cluster_size=");
  }
  for (const char* bad : {"1.0", "", "3"}) expect_invalid(MiB, {{"compat", bad}}, "compat=");
  for (const char* bad : {"0", "3", "128", "", "16x", "-16"}) {
    expect_invalid(MiB, {{"refcount_bits", bad}}, "refcount_bits=");
  }
  expect_invalid(MiB, {{"refcount_bits", "8"}, {"compat", "0.10"}}, "has only 16");
}

TEST(Qcow2CreateOptions, RejectAWriteOutsideTheDisk) {
  auto made = make(1 * MiB);
  ASSERT_TRUE(made);
  const auto written = made->writer->write(1 * MiB, test::all_of(1, 512));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), Errc::out_of_range);
}

// Takes every byte and keeps none.
class Sink final : public File {
 public:
  const std::string& name() const override { return name_; }
  Result<FileStat> stat() const override { return FileStat{}; }
  Result<void> write(uint64_t /*offset*/, Bytes /*data*/) override { return {}; }
  Result<void> resize(uint64_t /*size*/) override { return {}; }
  Result<void> sync() override { return {}; }

 private:
  Result<size_t> read_some(uint64_t /*offset*/, MutableBytes /*out*/) const override {
    return size_t{0};
  }
  std::string name_ = "sink";
};

// 8 MiB of refcount table name 2^20 blocks of 64 refcounts: 2^26 clusters, the tables among them.
TEST(Qcow2CreateLimit, IsWhatTheRefcountTableCanCount) {
  const Options options{{"cluster_size", "512"}, {"refcount_bits", "64"}};
  const auto sink = std::make_shared<Sink>();
  auto writer = create_image(CreateRequest{sink, 128 * GiB, options});
  ASSERT_TRUE(writer);
  const std::vector<std::byte> data(MiB);
  Result<void> written;
  uint64_t at = 0;
  for (; written && at < 33 * GiB; at += MiB) written = (*writer)->write(at, data);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), Errc::no_space);
  EXPECT_GT(at, 31 * GiB);
  const auto finished = (*writer)->finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code(), Errc::no_space);
}

}  // namespace
}  // namespace platter::qcow2
