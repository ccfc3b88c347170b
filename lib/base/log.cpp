#include "lib/base/log.h"

#include <memory>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>

#include "lib/base/text.h"

namespace platter::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warning: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::shared_ptr<spdlog::logger> make(Target target, const std::string& program,
                                     const std::string& path) {
  spdlog::sink_ptr sink;
  switch (target) {
    case Target::standard_error: sink = std::make_shared<spdlog::sinks::stderr_sink_mt>(); break;
    case Target::syslog:
      sink = std::make_shared<spdlog::sinks::syslog_sink_mt>(program, LOG_PID, LOG_DAEMON, false);
      break;
    case Target::file: sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path); break;
  }
  auto logger = std::make_shared<spdlog::logger>(program, std::move(sink));
  if (target == Target::file) {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %n: %l: %v");
  } else {
    logger->set_pattern("%n: %v");
  }
  logger->flush_on(spdlog::level::debug);
  return logger;
}

spdlog::level::level_enum lowest = spdlog::level::warn;

spdlog::logger& current() {
  static const bool ready = [] {
    auto logger = make(Target::standard_error, "platter", {});
    logger->set_level(lowest);
    spdlog::set_default_logger(std::move(logger));
    return true;
  }();
  (void)ready;
  return *spdlog::default_logger_raw();
}

}  // namespace

bool use(Target target, const std::string& program, const std::string& path) {
  current();  // so that the first message does not replace what is set here
  try {
    auto logger = make(target, program, path);
    logger->set_level(lowest);
    spdlog::set_default_logger(std::move(logger));
    return true;
  } catch (const spdlog::spdlog_ex&) {
    return false;
  }
}

void set_level(Level level) {
  lowest = to_spdlog(level);
  current().set_level(lowest);
}

void write(Level level, std::string_view message) {
  current().log(to_spdlog(level), "{}", printable(message));
}

}  // namespace platter::log
