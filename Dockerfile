# Image of `fastlstm serve`, without PyTorch. Serves the bundled model, or models mounted under /models:
#   docker build -t fastlstm .
#   docker run --rm -p 8000:8000 fastlstm
#   docker run --rm -p 8000:8000 -v "$PWD/model:/models/reviews:ro" fastlstm --model reviews=/models/reviews
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN python -m venv /opt/fastlstm && /opt/fastlstm/bin/pip install --no-cache-dir "/source[serve]"

FROM python:3.12-slim
RUN apt-get update && apt-get install --yes --no-install-recommends libstdc++6 && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home fastlstm
COPY --from=build /opt/fastlstm /opt/fastlstm
USER fastlstm
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["/opt/fastlstm/bin/python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v2/health/ready')"]
ENTRYPOINT ["/opt/fastlstm/bin/fastlstm", "serve", "--host", "0.0.0.0"]
