// Messages for the person who runs the program. The only door to the logging library.
// Thread safe.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace platter::log {

enum class Level : unsigned char { debug, info, warning, error };
enum class Target : unsigned char { standard_error, syslog, file };

// Where messages go from here on; the first target of a process is standard error, from warnings
// up. program: the prefix of each line. path: of Target::file. False: the file cannot be opened.
bool use(Target target, const std::string& program, const std::string& path = {});
void set_level(Level lowest);
void write(Level level, std::string_view message);

template <class... Args>
void debug(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::debug, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::info, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::warning, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> text, Args&&... args) {
  write(Level::error, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace platter::log
