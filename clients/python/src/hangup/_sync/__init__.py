# `npm run generate:python` writes this file from the file of the same name in _async.
