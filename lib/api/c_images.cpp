// platter.h: images as files.
#include <cstdlib>
#include <cstring>

#include <platter/images.h>

#include "lib/api/c_status.h"
#include "lib/base/result.h"

using platter::Result;
using platter::api::status_of;

void platter_free(char* text) { std::free(text); }

int platter_info(const char* path, const char* format, int chain, char** json) {
  return status_of([&]() -> Result<void> {
    if (json == nullptr) return platter::api::missing_argument();
    const platter::OpenImage image =
        TRY(platter::api::image_of(path, format, PLATTER_OPEN_NORMAL, nullptr));
    const std::string text = TRY(platter::describe_image(image, chain != 0));
    *json = strdup(text.c_str());
    if (*json == nullptr) throw std::bad_alloc();
    return {};
  });
}

int platter_copy(const char* path, const char* format, const char* passphrase,
                 const platter_new_image* target, platter_progress progress, void* user) {
  return status_of([&]() -> Result<void> {
    const platter::OpenImage source =
        TRY(platter::api::image_of(path, format, PLATTER_OPEN_READ_ONLY, passphrase));
    const platter::NewImageOf copy = TRY(platter::api::new_image_of(target));
    platter::OnProgress ask;
    if (progress != nullptr) {
      ask = [=](uint64_t done, uint64_t total) { return progress(user, done, total) == 0; };
    }
    return platter::copy_image(source, copy, {}, ask);
  });
}
