#include "tools/console.h"

#include <ostream>

#include <nlohmann/json.hpp>

#include "lib/base/text.h"

namespace platter {
namespace {

nlohmann::json file_of(const std::string& message, const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    if (message.starts_with(file + ": ")) return printable(file);
  }
  return files.empty() ? nlohmann::json(nullptr) : nlohmann::json(printable(files.front()));
}

}  // namespace

void Console::report(const Error& error, const std::vector<std::string>& files) {
  const std::string line = printable(error.message());
  if (json) {
    const nlohmann::json object = {
        {"error", {{"message", line}, {"file", file_of(error.message(), files)}}}};
    out << object.dump(2) << '\n';
  }
  out.flush();
  err << "platter: " << line << '\n';
  err.flush();
}

}  // namespace platter
