#include "lib/ops/passphrase.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include "lib/base/text.h"
#include "lib/crypto/cipher.h"
#include "lib/io/posix_file.h"

namespace platter {
namespace {

constexpr size_t kMost = 8 * MiB;  // as cryptsetup has it
constexpr size_t kLongestLine = 4096;

// Fills out; fewer bytes at the end of the file. Empty: errno says why.
std::optional<size_t> read_all(int fd, MutableBytes out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = read(fd, out.data() + done, out.size() - done);
    if (n == 0) break;
    if (n < 0 && errno != EINTR) return std::nullopt;
    if (n > 0) done += static_cast<size_t>(n);
  }
  return done;
}

Result<Secret> read_from(int fd, const std::string& name) {
  Secret secret(64 * KiB);
  size_t size = 0;
  for (;;) {
    const auto n = read_all(fd, secret.bytes().subspan(size));
    if (!n) return system_error(name, "cannot read the passphrase", errno);
    size += *n;
    if (size < secret.size()) break;
    if (size >= kMost) return Error(Errc::invalid, name + ": is longer than any passphrase");
    Secret larger(std::min(2 * secret.size(), kMost));
    std::memcpy(larger.bytes().data(), secret.bytes().data(), size);
    secret = std::move(larger);
  }
  if (size == 0) return Error(Errc::invalid, name + ": is empty: no passphrase");
  secret.cut(size);
  return secret;
}

// While there is one the terminal shows nothing that is typed, and gives every key as it comes, the
// one that interrupts too: nothing may end the program before the terminal is as it was.
class Unseen {
 public:
  explicit Unseen(int fd) : fd_(fd) {
    good_ = tcgetattr(fd_, &before_) == 0;
    if (!good_) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | ISIG);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    good_ = tcsetattr(fd_, TCSAFLUSH, &silent) == 0;
  }
  ~Unseen() {
    if (good_) tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  Unseen(const Unseen&) = delete;
  Unseen& operator=(const Unseen&) = delete;
  bool good() const { return good_; }

  enum class Key : unsigned char { other, end, erase, kill, interrupt };
  Key meaning(std::byte typed) const {
    const auto c = static_cast<cc_t>(typed);
    if (c == '\n' || c == '\r' || c == before_.c_cc[VEOF]) return Key::end;
    if (c == before_.c_cc[VERASE] || c == '\b') return Key::erase;
    if (c == before_.c_cc[VKILL]) return Key::kill;
    if (c == before_.c_cc[VINTR] || c == before_.c_cc[VQUIT]) return Key::interrupt;
    return Key::other;
  }

 private:
  const int fd_;
  bool good_ = false;
  termios before_ = {};
};

// One line; empty: interrupted.
std::optional<Secret> read_line(int fd, const Unseen& terminal) {
  Secret line(kLongestLine);
  Secret typed(1);
  size_t size = 0;
  for (;;) {
    const auto n = read_all(fd, typed.bytes());
    if (n.value_or(0) == 0) break;
    const std::byte key = typed.bytes().front();
    const Unseen::Key what = terminal.meaning(key);
    if (what == Unseen::Key::end) break;
    if (what == Unseen::Key::interrupt) return std::nullopt;
    if (what == Unseen::Key::erase) size -= size == 0 ? 0 : 1;
    if (what == Unseen::Key::kill) size = 0;
    if (what == Unseen::Key::other && size < kLongestLine) line.bytes()[size++] = key;
  }
  line.cut(size);
  return line;
}

Result<Secret> ask_once(const std::string& prompt) {
  std::optional<Secret> line;
  {
    const Unseen terminal(STDIN_FILENO);
    if (!terminal.good()) return no_key_error();
    fmt::print(stderr, "{}: ", printable(prompt));
    line = read_line(STDIN_FILENO, terminal);
    fmt::print(stderr, "\n");
  }
  if (line) return *std::move(line);
  raise(SIGINT);
  return Error(Errc::cancelled, "interrupted");
}

}  // namespace

Result<KeyInput> parse_key_input(const std::string& file, const std::string& fd) {
  KeyInput input{.file = file};
  if (fd.empty()) return input;
  if (!file.empty()) return Error(Errc::invalid, "a key file and a descriptor exclude each other");
  int number = -1;
  const auto [end, fault] = std::from_chars(fd.data(), fd.data() + fd.size(), number);
  if (fault != std::errc() || end != fd.data() + fd.size() || number < 0) {
    return Error(Errc::invalid, fmt::format("{}: is no number of a descriptor", printable(fd)));
  }
  input.fd = number;
  return input;
}

Result<Secret> read_passphrase(const KeyInput& input) {
  if (input.fd) return read_from(*input.fd, fmt::format("descriptor {}", *input.fd));
  if (input.file == "-") return read_from(STDIN_FILENO, "standard input");
  const Descriptor fd(open(input.file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return system_error(input.file, "cannot open the key file", errno);
  return read_from(fd.get(), input.file);
}

Result<Secret> ask_passphrase(const std::string& prompt, bool twice) {
  if (isatty(STDIN_FILENO) == 0) return no_key_error();
  Secret secret = TRY(ask_once(prompt));
  if (secret.size() == 0) return Error(Errc::invalid, "no passphrase was typed");
  if (!twice) return secret;
  const Secret again = TRY(ask_once("The same again"));
  if (equal_in_constant_time(secret.bytes(), again.bytes())) return secret;
  return Error(Errc::invalid, "the two passphrases are not the same");
}

Result<Bytes> PassphraseSource::passphrase(std::string_view image) {
  if (!secret_) {
    forbid_core_dumps();
    if (input_.given()) {
      secret_ = TRY(read_passphrase(input_));
    } else {
      const bool fresh = purpose_ == Purpose::fresh;
      secret_ = TRY(ask_passphrase(
          fmt::format("{} for {}", fresh ? "New passphrase" : "Passphrase", image), fresh));
    }
  }
  return std::as_const(*secret_).bytes();
}

}  // namespace platter
