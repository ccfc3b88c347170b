// Encrypted images that Platter, QEMU and cryptsetup make and write in turns: after each turn all
// of them must read what a model says.
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "lib/container/container.h"
#include "lib/image/registry.h"
#include "lib/ops/amend.h"
#include "lib/ops/create.h"
#include "lib/ops/keys.h"
#include "tests/support/qemu.h"
#include "tests/support/rounds.h"
#include "tests/support/test_keys.h"

namespace platter::test {
namespace {

struct Variant {
  std::string name, format;
  std::string method;   // of qcow2: luks or aes
  std::string options;  // of create, by the names both have
  bool data_file = false;
};

constexpr uint64_t kSize = 3 * MiB + 512;

class EncryptedInTurns : public testing::TestWithParam<Variant> {
 protected:
  void SetUp() override {
    REQUIRE_QEMU();
    model_.assign(kSize, '\0');
  }

  std::string image() const { return "disk." + GetParam().format; }

  // What QEMU needs to be told to open it.
  std::string opened() const {
    const Variant& v = GetParam();
    std::string text = fmt::format(
        "--object secret,id=s,data={} --image-opts driver={},"
        "file.filename={}",
        kPassphrase, v.format, image());
    text += v.format == "luks" ? ",key-secret=s"
                               : fmt::format(",encrypt.format={},encrypt.key-secret=s", v.method);
    return text;
  }
  std::string prefix() const { return GetParam().format == "luks" ? "" : "encrypt."; }
  // Each ends with a comma.
  std::string options() const {
    const Variant& v = GetParam();
    std::string text = v.format == "luks" ? "" : "encrypt.format=" + v.method + ",";
    if (v.data_file) text += "data_file=data,";
    return text + (v.options.empty() ? "" : v.options + ",");
  }

  void made_by_qemu() {
    const std::string time =
        GetParam().method == "aes" ? "" : fmt::format("{}iter-time=10,", prefix());
    MUST_RUN(dir_, fmt::format("qemu-img create -q --object secret,id=s,data={} -f {} -o "
                               "{}{}{}key-secret=s {} {}",
                               kPassphrase, GetParam().format, options(), time, prefix(), image(),
                               kSize));
    if (GetParam().format != "luks") return;
    // What QEMU has not written is no zeroes.
    MUST_RUN(dir_, fmt::format("qemu-io -c 'write -q -P 0 0 {}' {}", kSize, opened()));
  }

  void made_by_us() {
    Options given;
    std::string list = options();
    if (GetParam().method != "aes") list += prefix() + "iter-time=1,";
    for (size_t at = 0; at < list.size(); at = list.find(',', at) + 1) {
      const std::string item = list.substr(at, list.find(',', at) - at);
      const size_t equals = item.find('=');
      given[item.substr(0, equals)] = item.substr(equals + 1);
    }
    if (GetParam().data_file) given["data_file"] = dir_ / "data";
    const auto made = create_image({.path = dir_ / image(),
                                    .format = *find_format(GetParam().format),
                                    .size = kSize,
                                    .options = given,
                                    .keys = test_keys()});
    ASSERT_TRUE(made) << made.error().message();
  }

  Range draw() {
    const uint64_t at = random_() % kSize;
    const uint64_t most = random_() % 3 == 0 ? 300 * KiB : 1500;
    return {at, std::min(1 + random_() % most, kSize - at)};
  }
  void into_model(const Range& range, char value) {
    std::fill_n(model_.begin() + static_cast<ptrdiff_t>(range.offset), range.length, value);
  }

  void our_turn() {
    const auto container =
        Container::open(dir_ / image(), {.access = Access::write, .keys = test_keys()});
    ASSERT_TRUE(container) << container.error().message();
    Writer& writer = *(*container)->writer();
    for (int i = 0; i < 20; ++i) {
      const Range range = draw();
      const char value = random_() % 5 == 0 ? '\0' : static_cast<char>(1 + random_() % 255);
      into_model(range, value);
      const auto done =
          random_() % 8 == 0 && value == '\0'
              ? writer.discard(range)
              : writer.write(range.offset,
                             std::vector<std::byte>(range.length, static_cast<std::byte>(value)));
      ASSERT_TRUE(done) << done.error().message();
    }
    ASSERT_TRUE(writer.close());
  }

  void qemus_turn() {
    std::string commands;
    for (int i = 0; i < 10; ++i) {
      const Range range = draw();
      const unsigned value = 1 + static_cast<unsigned>(random_() % 255);
      into_model(range, static_cast<char>(value));
      commands += fmt::format("-c 'write -q -P {} {} {}' ", value, range.offset, range.length);
    }
    MUST_RUN(dir_, "qemu-io " + commands + opened());
  }

  void expect_agreement() {
    const auto container = Container::open(dir_ / image(), {.keys = test_keys()});
    ASSERT_TRUE(container) << container.error().message();
    std::string ours(kSize, 'x');
    const auto read =
        (*container)->live()->read(0, std::as_writable_bytes(std::span(ours.data(), kSize)));
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_TRUE(ours == model_);
    MUST_RUN(dir_, fmt::format("qemu-img convert {} -O raw qemu.raw", opened()));
    EXPECT_TRUE(read_file(dir_ / "qemu.raw") == model_);
    if (GetParam().format != "qcow2") return;
    MUST_RUN(dir_, "qemu-img check " + opened());
    CheckReport report;
    ASSERT_TRUE((*container)->chain().front().image->check(Repair::none, report));
    EXPECT_EQ(report.corruptions + report.leaks, 0U);
  }

  void take_turns() {
    ASSERT_NO_FATAL_FAILURE(expect_agreement());
    for (uint64_t turn = 0; turn < rounds(1, 3); ++turn) {
      ASSERT_NO_FATAL_FAILURE(our_turn());
      ASSERT_NO_FATAL_FAILURE(expect_agreement());
      ASSERT_NO_FATAL_FAILURE(qemus_turn());
      ASSERT_NO_FATAL_FAILURE(expect_agreement());
    }
  }

  const TempDir dir_;
  std::mt19937_64 random_{11};
  std::string model_;
};

TEST_P(EncryptedInTurns, FirstMadeByQemu) {
  ASSERT_NO_FATAL_FAILURE(made_by_qemu());
  take_turns();
}

TEST_P(EncryptedInTurns, FirstMadeByUs) {
  ASSERT_NO_FATAL_FAILURE(made_by_us());
  take_turns();
}

const std::string kCbcEssiv =
    "cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha1";
const std::string kQcow2Essiv =
    "encrypt.cipher-alg=aes-256,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,"
    "encrypt.ivgen-hash-alg=sha256,encrypt.hash-alg=sha512,cluster_size=4k";

INSTANTIATE_TEST_SUITE_P(
    Variants, EncryptedInTurns,
    testing::Values(
        Variant{"luks_xts", "luks", "", ""}, Variant{"luks_essiv", "luks", "", kCbcEssiv},
        Variant{"luks_plain", "luks", "", "cipher-mode=cbc,ivgen-alg=plain,hash-alg=ripemd160"},
        Variant{"luks_ecb", "luks", "", "cipher-mode=ecb,hash-alg=sha224"},
        Variant{"qcow2_luks", "qcow2", "luks", ""},
        Variant{"qcow2_luks_essiv", "qcow2", "luks", kQcow2Essiv},
        Variant{"qcow2_luks_v2", "qcow2", "luks", "compat=0.10,cluster_size=1k"},
        Variant{"qcow2_luks_subclusters", "qcow2", "luks", "extended_l2=on,cluster_size=32k"},
        Variant{"qcow2_luks_data_file", "qcow2", "luks", "cluster_size=8k", true},
        Variant{"qcow2_aes", "qcow2", "aes", "cluster_size=2k"},
        Variant{"qcow_aes", "qcow", "aes", ""}),
    [](const auto& test) { return test.param.name; });

#define REQUIRE_CRYPTSETUP()                                      \
  if (std::system("cryptsetup --version >/dev/null 2>&1") != 0) { \
    GTEST_SKIP() << "cryptsetup is not installed";                \
  }

// It opens what we made, adds a key we open, takes ours away; and the other way about.
TEST(Cryptsetup, AndWeChangeEachOthersKeys) {
  REQUIRE_CRYPTSETUP();
  const TempDir dir;
  write_file(dir / "first", "hunter2");
  write_file(dir / "second", "a longer one");
  ASSERT_TRUE(create_image({.path = dir / "a.luks",
                            .format = *find_format("luks"),
                            .size = MiB,
                            .options = {{"iter-time", "1"}},
                            .keys = test_keys()}));
  MUST_RUN(dir, "cryptsetup open --test-passphrase a.luks -d first");
  MUST_RUN(dir, "cryptsetup -q luksAddKey --pbkdf-force-iterations 1000 -d first a.luks second");
  TestKeys second("a longer one"), third("the third");
  const KeyArgs args{.path = dir / "a.luks", .format = "luks"};
  EXPECT_TRUE(Container::open(args.path, {.keys = &second}));
  const auto added = add_key(args, second, third, 1);
  ASSERT_TRUE(added) << added.error().message();
  EXPECT_EQ(*added, 2U);
  write_file(dir / "third", "the third");
  MUST_RUN(dir, "cryptsetup open --test-passphrase --key-slot 2 a.luks -d third");
  MUST_RUN(dir, "cryptsetup -q luksKillSlot a.luks 0 -d third");
  EXPECT_FALSE(Container::open(args.path, {.keys = test_keys()}));
  const auto removed = remove_key(args, second, {});
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_EQ(*removed, 1U);
  EXPECT_NE(run(dir, "cryptsetup open --test-passphrase a.luks -d second"), 0);
  MUST_RUN(dir, "cryptsetup open --test-passphrase a.luks -d third");
  MUST_RUN(dir, "cryptsetup isLuks --type luks1 a.luks && cryptsetup luksDump a.luks");
}

class MadeByCryptsetup : public testing::TestWithParam<std::string> {};

TEST_P(MadeByCryptsetup, ShowsTheDiskQemuShows) {
  REQUIRE_CRYPTSETUP();
  REQUIRE_QEMU();
  const TempDir dir;
  write_file(dir / "pass", "hunter2");
  MUST_RUN(dir, fmt::format("truncate -s 5M a.luks && cryptsetup luksFormat --batch-mode --type "
                            "luks1 --pbkdf-force-iterations 1000 {} a.luks - < pass",
                            GetParam()));
  MUST_RUN(dir,
           "qemu-io --object secret,id=s,data=hunter2 --image-opts -c 'write -P 7 1000 70000' "
           "driver=luks,key-secret=s,file.filename=a.luks");
  MUST_RUN(dir,
           "qemu-img convert --object secret,id=s,data=hunter2 --image-opts "
           "driver=luks,key-secret=s,file.filename=a.luks -O raw qemu.raw");
  const auto container = Container::open(dir / "a.luks", {.keys = test_keys()});
  ASSERT_TRUE(container) << container.error().message();
  std::string ours((*container)->live()->size(), 'x');
  ASSERT_TRUE(
      (*container)->live()->read(0, std::as_writable_bytes(std::span(ours.data(), ours.size()))));
  // What nobody wrote is noise, and the same noise.
  EXPECT_TRUE(ours == read_file(dir / "qemu.raw"));
}

INSTANTIATE_TEST_SUITE_P(
    Variants, MadeByCryptsetup,
    testing::Values("--cipher aes-xts-plain64 --key-size 512 --hash sha256",
                    "--cipher aes-xts-plain --key-size 256 --hash sha1",
                    "--cipher aes-cbc-essiv:sha256 --key-size 256 --hash sha256",
                    "--cipher aes-cbc-essiv:sha256 --key-size 128 --hash sha512",
                    "--cipher aes-cbc-plain --key-size 128 --hash sha512"),
    [](const auto& test) { return fmt::format("variant_{}", test.index); });

TEST(Cryptsetup, WithAKeyOf192BitsIsOpened) {
  REQUIRE_CRYPTSETUP();
  const TempDir dir;
  write_file(dir / "pass", "hunter2");
  MUST_RUN(dir,
           "truncate -s 5M a.luks && cryptsetup luksFormat --batch-mode --type luks1 "
           "--pbkdf-force-iterations 1000 --cipher aes-cbc-plain64 --key-size 192 a.luks - "
           "< pass");
  const auto container = Container::open(dir / "a.luks", {.keys = test_keys()});
  EXPECT_TRUE(container) << container.error().message();
}

TEST(Cryptsetup, InVersionTwoIsRefusedInSoManyWords) {
  REQUIRE_CRYPTSETUP();
  const TempDir dir;
  write_file(dir / "pass", "hunter2");
  MUST_RUN(dir,
           "truncate -s 32M a.luks && cryptsetup luksFormat --batch-mode --type luks2 "
           "--pbkdf pbkdf2 --pbkdf-force-iterations 1000 a.luks - < pass");
  const auto container = Container::open(dir / "a.luks", {.keys = test_keys()});
  ASSERT_FALSE(container);
  EXPECT_NE(container.error().message().find("version 2 is not supported"), std::string::npos);
}

// An overlay with a key of its own over a base without one, and the other way about.
TEST(EncryptedChains, MixWithPlainImages) {
  REQUIRE_QEMU();
  for (const bool over : {true, false}) {
    const TempDir dir;
    const std::string key = "--object secret,id=s,data=hunter2";
    const std::string luks = "-o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
    MUST_RUN(dir, fmt::format("qemu-img create -q -f qcow2 {} base.qcow2 2M",
                              over ? "" : key + " " + luks));
    const std::string base_options =
        over ? "driver=qcow2,file.filename=base.qcow2"
             : "driver=qcow2,file.filename=base.qcow2,encrypt.format=luks,encrypt.key-secret=s";
    MUST_RUN(dir,
             fmt::format("qemu-io {} --image-opts -c 'write -P 9 0 1M' {}", key, base_options));
    const auto made = create_image(
        {.path = dir / "top.qcow2",
         .format = *find_format("qcow2"),
         .size = 2 * MiB,
         .options =
             over ? Options{{"encrypt.format", "luks"}, {"encrypt.iter-time", "1"}} : Options{},
         .parent = ParentLink{.reference = "base.qcow2", .format = "qcow2"},
         .keys = test_keys()});
    ASSERT_TRUE(made) << made.error().message();
    std::string model = std::string(MiB, 9) + std::string(MiB, '\0');
    {
      const auto container =
          Container::open(dir / "top.qcow2", {.access = Access::write, .keys = test_keys()});
      ASSERT_TRUE(container) << container.error().message();
      ASSERT_TRUE((*container)->writer()->write(70000, std::vector<std::byte>(300, std::byte{4})));
      std::fill_n(model.begin() + 70000, 300, 4);
      ASSERT_TRUE((*container)->writer()->close());
    }
    const std::string top =
        over ? "driver=qcow2,file.filename=top.qcow2,encrypt.format=luks,encrypt.key-secret=s"
             : "driver=qcow2,file.filename=top.qcow2,backing.encrypt.format=luks,"
               "backing.encrypt.key-secret=s";
    MUST_RUN(dir, fmt::format("qemu-img convert {} --image-opts {} -O raw out.raw", key, top));
    EXPECT_TRUE(read_file(dir / "out.raw") == model);
    std::string ours(2 * MiB, 'x');
    const auto container = Container::open(dir / "top.qcow2", {.keys = test_keys()});
    ASSERT_TRUE(container);
    ASSERT_TRUE(
        (*container)->live()->read(0, std::as_writable_bytes(std::span(ours.data(), ours.size()))));
    EXPECT_TRUE(ours == model);
  }
}

TEST(EncryptedQcow2, IsAmendedWithItsZeroesEncrypted) {
  REQUIRE_QEMU();
  for (const std::string method : {"luks", "aes"}) {
    const TempDir dir;
    const std::string opened =
        "--object secret,id=s,data=hunter2 --image-opts "
        "driver=qcow2,file.filename=a.qcow2,encrypt.key-secret=s,encrypt.format=" +
        method;
    write_file(dir / "base.raw", std::string(MiB, 'b'));
    MUST_RUN(dir, fmt::format("qemu-img create -q --object secret,id=s,data=hunter2 -f qcow2 -o "
                              "encrypt.format={},encrypt.key-secret=s{} -b base.raw -F raw a.qcow2",
                              method, method == "luks" ? ",encrypt.iter-time=10" : ""));
    MUST_RUN(dir, fmt::format("qemu-io -c 'write -P 1 0 100k' -c 'write -z 128k 128k' {} && "
                              "qemu-img convert {} -O raw before.raw",
                              opened, opened));
    const AmendArgs to_2{.path = dir / "a.qcow2", .options = {{"compat", "0.10"}}};
    const auto without_key = amend_image(to_2);
    ASSERT_FALSE(without_key);
    EXPECT_EQ(without_key.error().code(), Errc::no_key);
    AmendArgs with_key = to_2;
    with_key.keys = test_keys();
    const auto done = amend_image(with_key);
    ASSERT_TRUE(done) << done.error().message();
    MUST_RUN(dir, fmt::format("qemu-img info a.qcow2 | grep -q 'compat: 0.10' && "
                              "qemu-img check {} && qemu-img convert {} -O raw after.raw && "
                              "cmp before.raw after.raw",
                              opened, opened));
  }
}

// Compressed clusters are in the clear even in an encrypted image.
TEST(EncryptedQcow2, SnapshotsAndResizingAreAsQemuHasThem) {
  REQUIRE_QEMU();
  const TempDir dir;
  const std::string opened =
      "--object secret,id=s,data=hunter2 --image-opts "
      "driver=qcow2,file.filename=a.qcow2,encrypt.format=luks,encrypt.key-secret=s";
  ASSERT_TRUE(create_image({.path = dir / "a.qcow2",
                            .format = *find_format("qcow2"),
                            .size = 100 * KiB,
                            .options = {{"encrypt.format", "luks"}, {"encrypt.iter-time", "1"}},
                            .keys = test_keys()}));
  {
    const auto container =
        Container::open(dir / "a.qcow2", {.access = Access::write, .keys = test_keys()});
    ASSERT_TRUE(container) << container.error().message();
    Writer& writer = *(*container)->writer();
    ASSERT_TRUE(writer.write(0, std::vector<std::byte>(100 * KiB, std::byte{1})));
    ASSERT_TRUE(writer.change_snapshots({.what = SnapshotRequest::What::create, .name = "one"}));
    ASSERT_TRUE(writer.write(1000, std::vector<std::byte>(700, std::byte{2})));
    ASSERT_TRUE(writer.grow(MiB));
    ASSERT_TRUE(writer.close());
  }
  std::string live(MiB, '\0');
  std::fill_n(live.begin(), 100 * KiB, 1);
  std::fill_n(live.begin() + 1000, 700, 2);
  MUST_RUN(dir, fmt::format("qemu-img convert {} -O raw out.raw", opened));
  EXPECT_TRUE(read_file(dir / "out.raw") == live);
  MUST_RUN(dir, fmt::format("qemu-img check {}", opened));
  MUST_RUN(dir, fmt::format("qemu-img convert -l snapshot.name=one {} -O raw one.raw", opened));
  // QEMU shows a snapshot in the size the disk has by now.
  std::string one(MiB, '\0');
  std::fill_n(one.begin(), 100 * KiB, 1);
  EXPECT_TRUE(read_file(dir / "one.raw") == one);
}

}  // namespace
}  // namespace platter::test
