#include "lib/io/posix_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::bytes_of;
using test::TempDir;
using test::text_of;

class PosixFileTest : public ::testing::Test {
 protected:
  std::string refusal(const std::string& path) const {
    const Result<FilePtr> file = PosixFile::open(path);
    if (file) return "opened";
    EXPECT_EQ(file.error().message().find(path + ": "), 0U);
    return file.error().message().substr(path.size() + 2);
  }
  FilePtr with(std::string_view contents) {
    test::write_file(dir_ / "f", contents);
    return *PosixFile::open(dir_ / "f");
  }
  TempDir dir_;
};

TEST_F(PosixFileTest, ReadsARegularFile) {
  const FilePtr file = with("hello");
  std::vector<std::byte> out(5);
  ASSERT_TRUE(file->read_exact(0, out));
  EXPECT_EQ(text_of(out), "hello");
  EXPECT_EQ(file->name(), dir_ / "f");
}

TEST_F(PosixFileTest, TellsSizeModeAndIdentity) {
  const FilePtr file = with("hello");
  struct stat st = {};
  ASSERT_EQ(::stat((dir_ / "f").c_str(), &st), 0);
  const FileStat mine = *file->stat();
  EXPECT_EQ(mine.size, 5U);
  EXPECT_EQ(mine.device, st.st_dev);
  EXPECT_EQ(mine.inode, st.st_ino);
  EXPECT_EQ(mine.mode, st.st_mode & 07777);
  EXPECT_EQ(mine.uid, st.st_uid);
  EXPECT_EQ(mine.mtime_ns, st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
}

TEST_F(PosixFileTest, TwoNamesOfOneFileHaveOneIdentity) {
  const FilePtr file = with("hello");
  ASSERT_EQ(link((dir_ / "f").c_str(), (dir_ / "g").c_str()), 0);
  EXPECT_EQ((*PosixFile::open(dir_ / "g"))->stat()->inode, file->stat()->inode);
}

TEST_F(PosixFileTest, ReadsPastTheEndAreShortAtAnyOffset) {
  const FilePtr file = with("hello");
  std::vector<std::byte> out(10);
  EXPECT_EQ(*file->read_available(3, out), 2U);
  for (const uint64_t offset :
       {uint64_t{5}, uint64_t{1} << 62, kMaxOffset - 5, kMaxOffset, kMaxOffset + 1, UINT64_MAX}) {
    const auto n = file->read_available(offset, out);
    ASSERT_TRUE(n) << offset << n.error().message();
    EXPECT_EQ(*n, 0U) << offset;
  }
  const auto exact = file->read_exact(3, out);
  ASSERT_FALSE(exact);
  EXPECT_EQ(exact.error().code(), Errc::corrupt);
}

TEST_F(PosixFileTest, RefusesADirectory) {
  EXPECT_EQ(refusal(dir_.path()), "is a directory, not a disk image");
}

TEST_F(PosixFileTest, RefusesAFifoWithoutWaitingForItsWriter) {
  ASSERT_EQ(mkfifo((dir_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(refusal(dir_ / "fifo"), "is a FIFO, not a disk image");
  // Nobody opened it for reading: a writer that does not want to wait finds no reader.
  EXPECT_EQ(::open((dir_ / "fifo").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC), -1);
  EXPECT_EQ(errno, ENXIO);
}

TEST_F(PosixFileTest, RefusesASocket) {
  const Descriptor fd(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = dir_ / "s";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(refusal(path), "is a socket, not a disk image");
}

TEST_F(PosixFileTest, RefusesACharacterDevice) {
  EXPECT_EQ(refusal("/dev/zero"), "is a character device, not a disk image");
  EXPECT_EQ(refusal("/dev/tty"), "is a character device, not a disk image");
}

TEST_F(PosixFileTest, SaysWhyItCannotOpen) {
  EXPECT_EQ(refusal(dir_ / "none"), "cannot open: No such file or directory");
  test::write_file(dir_ / "f", "x");
  const Result<FilePtr> below = PosixFile::open(dir_ / "f/x");
  ASSERT_FALSE(below);
  EXPECT_EQ(below.error().code(), Errc::not_found);
  ASSERT_EQ(symlink("loop", (dir_ / "loop").c_str()), 0);
  EXPECT_EQ(refusal(dir_ / "loop"), "cannot open: Too many levels of symbolic links");
  EXPECT_EQ(refusal(dir_ / std::string(300, 'x')), "cannot open: File name too long");
}

TEST_F(PosixFileTest, RefusesAFileWithoutPermission) {
  if (geteuid() == 0) {
    // Root reads everything: the errno's translation is what is left to see.
    EXPECT_EQ(system_error("f", "cannot open", EACCES).code(), Errc::denied);
    EXPECT_EQ(system_error("f", "cannot open", EACCES).message(),
              "f: cannot open: Permission denied");
    return;
  }
  test::write_file(dir_ / "f", "x");
  ASSERT_EQ(chmod((dir_ / "f").c_str(), 0), 0);
  EXPECT_EQ(refusal(dir_ / "f"), "cannot open: Permission denied");
}

TEST_F(PosixFileTest, OpensForReadingOnly) {
  const FilePtr file = with("hello");
  EXPECT_FALSE(file->write(0, bytes_of("x")));
  EXPECT_FALSE(file->resize(0));
  EXPECT_EQ(test::read_file(dir_ / "f"), "hello");
}

TEST_F(PosixFileTest, CreatesANewPrivateFile) {
  const Result<FilePtr> file = PosixFile::create(dir_ / "new");
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->stat()->mode, 0600U);
  ASSERT_TRUE((*file)->write(3, bytes_of("lo")));
  ASSERT_TRUE((*file)->write(0, bytes_of("hel")));
  ASSERT_TRUE((*file)->sync());
  EXPECT_EQ(test::read_file(dir_ / "new"), "hello");
  ASSERT_TRUE((*file)->resize(2));
  EXPECT_EQ(test::read_file(dir_ / "new"), "he");
}

TEST_F(PosixFileTest, NeverCreatesOverWhatIsThere) {
  test::write_file(dir_ / "f", "hello");
  const Result<FilePtr> file = PosixFile::create(dir_ / "f");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code(), Errc::invalid);
  ASSERT_EQ(symlink("nowhere", (dir_ / "dangling").c_str()), 0);
  EXPECT_FALSE(PosixFile::create(dir_ / "dangling"));
  EXPECT_EQ(test::read_file(dir_ / "f"), "hello");
  EXPECT_NE(access((dir_ / "nowhere").c_str(), F_OK), 0);
}

TEST_F(PosixFileTest, RefusesWritesPastTheLargestOffset) {
  const FilePtr file = *PosixFile::create(dir_ / "new");
  const auto write = file->write(kMaxOffset, bytes_of("x"));
  ASSERT_FALSE(write);
  EXPECT_EQ(write.error().code(), Errc::no_space);
  EXPECT_FALSE(file->write(UINT64_MAX, bytes_of("xx")));
  EXPECT_FALSE(file->resize(UINT64_MAX));
  EXPECT_EQ(file->stat()->size, 0U);
}

TEST_F(PosixFileTest, TellsDataFromHoles) {
  const FilePtr file = *PosixFile::create(dir_ / "sparse");
  ASSERT_TRUE(file->resize(16 * MiB));
  ASSERT_TRUE(file->write(8 * MiB, test::pattern(0, 64 * KiB, 1)));
  const File::Run hole = *file->run_at(0);
  const File::Run data = *file->run_at(8 * MiB + 1000);
  EXPECT_TRUE(data.data);
  EXPECT_GE(data.range.end(), 8 * MiB + 64 * KiB);
  EXPECT_LE(data.range.offset, 8 * MiB + 1000);
  if (hole.data) GTEST_SKIP() << "the temporary directory's filesystem cannot tell holes";
  EXPECT_EQ(hole.range.end(), 8 * MiB);
  EXPECT_FALSE(file->run_at(12 * MiB)->data);
  EXPECT_EQ(file->run_at(12 * MiB)->range.end(), 16 * MiB);
}

TEST_F(PosixFileTest, ARunNeverEndsBehindTheFile) {
  const FilePtr file = with("hello");
  EXPECT_EQ(file->run_at(2)->range.end(), 5U);
  const auto past = file->run_at(5);
  ASSERT_FALSE(past);
  EXPECT_EQ(past.error().message(), dir_ / "f" + ": truncated: nothing at 5");
}

TEST_F(PosixFileTest, AFileCutBehindOurBackIsAnErrorNotZeroes) {
  const FilePtr file = with(std::string(100000, 'x'));
  ASSERT_EQ(truncate((dir_ / "f").c_str(), 10), 0);
  EXPECT_FALSE(file->run_at(50000));
  std::vector<std::byte> out(10);
  EXPECT_FALSE(file->read_exact(50000, out));
}

TEST_F(PosixFileTest, AfterOneFailureEverySyncFails) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const Descriptor reader(ends[0]);
  const Result<FilePtr> file = PosixFile::adopt(Descriptor(ends[1]), "pipe");
  ASSERT_TRUE(file);
  const auto first = (*file)->sync();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().sys_errno(), EINVAL);
  // Now the kernel would say yes.
  const Descriptor good(::open((dir_ / "g").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(dup2(good.get(), ends[1]), ends[1]);
  const auto second = (*file)->sync();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().sys_errno(), EIO);
}

TEST_F(PosixFileTest, LendsTheKernelTheBytesInsideTheFile) {
  const FilePtr file = with(std::string(10000, 'x'));
  const std::byte* view = file->kernel_view({5000, 5000});
  ASSERT_NE(view, nullptr);
  EXPECT_EQ(*view, std::byte{'x'});
  EXPECT_EQ(file->kernel_view({5000, 5001}), nullptr);
  EXPECT_EQ(file->kernel_view({UINT64_MAX, 2}), nullptr);
  EXPECT_EQ(with("")->kernel_view({0, 0}), nullptr);
}

// Each page of a hole that the kernel copied from would be a page of the host's memory from then
// on.
TEST_F(PosixFileTest, LendsTheKernelNoHolesOnAHostInMemory) {
  struct statfs host = {};
  if (statfs("/dev/shm", &host) != 0 || host.f_type != TMPFS_MAGIC) {
    GTEST_SKIP() << "/dev/shm is no tmpfs";
  }
  std::string path = "/dev/shm/platter-test-XXXXXX";
  const Descriptor fd(mkstemp(path.data()));
  ASSERT_TRUE(fd);
  unlink(path.c_str());
  ASSERT_EQ(ftruncate(fd.get(), 1 << 20), 0);
  ASSERT_EQ(pwrite(fd.get(), std::string(8192, 'x').data(), 8192, 65536), 8192);
  const FilePtr file = *PosixFile::adopt(Descriptor(dup(fd.get())), "memory");
  EXPECT_NE(file->kernel_view({65536, 8192}), nullptr);
  EXPECT_EQ(file->kernel_view({65536, 8193}), nullptr);
  EXPECT_EQ(file->kernel_view({0, 4096}), nullptr);
  EXPECT_EQ(file->kernel_view({61440, 8192}), nullptr);
}

TEST_F(PosixFileTest, LendsTheKernelWhatWasAppendedAndKeepsWhatItLent) {
  test::write_file(dir_ / "grows", std::string(4096, 'x'));
  const FilePtr file = *PosixFile::open(dir_ / "grows", Access::write);
  const std::byte* const first = file->kernel_view({0, 4096});
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(file->kernel_view({4096, 1}), nullptr);
  // Far enough for several mappings.
  for (const uint64_t size : {8 * KiB, 65 * MiB, 200 * MiB, 2 * GiB}) {
    const std::byte mark{'y'};
    ASSERT_TRUE(file->write(size - 1, Bytes(&mark, 1)));
    const std::byte* const view = file->kernel_view({size - 4096, 4096});
    ASSERT_NE(view, nullptr) << size;
    EXPECT_EQ(view[4095], mark);
    EXPECT_EQ(file->kernel_view({size - 4095, 4096}), nullptr);
    EXPECT_EQ(*file->kernel_view({0, 1}), std::byte{'x'});
    EXPECT_EQ(*first, std::byte{'x'});
  }
}

TEST_F(PosixFileTest, LendsTheKernelAFileThatGrowsMeanwhile) {
  test::write_file(dir_ / "grows", std::string(4096, 'x'));
  const FilePtr file = *PosixFile::open(dir_ / "grows", Access::write);
  std::atomic<uint64_t> written{4096};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (uint64_t size = 0; size < 512 * MiB;) {
        size = written;
        const std::byte* const view = file->kernel_view({size - 1, 1});
        ASSERT_NE(view, nullptr);
        ASSERT_EQ(*view, std::byte{'x'});
      }
    });
  }
  const std::byte mark{'x'};
  for (uint64_t size = MiB; size <= 512 * MiB; size += MiB) {
    ASSERT_TRUE(file->write(size - 1, Bytes(&mark, 1)));
    written = size;
  }
}

TEST_F(PosixFileTest, ManyThreadsReadAtOnce) {
  test::write_file(dir_ / "big", Bytes(test::pattern(0, 256 * KiB, 7)));
  const FilePtr file = *PosixFile::open(dir_ / "big");
  std::vector<std::jthread> threads;
  for (uint64_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::byte> out(4096);
      for (uint64_t i = t; i < 64; i += 8) {
        EXPECT_TRUE(file->read_exact(i * 4096, out));
        EXPECT_EQ(out, test::pattern(i * 4096, 4096, 7));
        EXPECT_NE(file->kernel_view({i * 4096, 4096}), nullptr);
      }
    });
  }
}

}  // namespace
}  // namespace platter
