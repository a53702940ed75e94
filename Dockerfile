# One image for every command: the entry point is `statesys`, the command says which.

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/statesys
# Dependencies first: this layer is built again only when they change. lxml and psycopg come as
# wheels, so no compiler is needed. constraints.txt pins versions, and installs nothing by itself:
# what is only for development stays out.
COPY pyproject.toml constraints.txt ./
RUN python -c 'import tomllib; \
        project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
        print(*project["dependencies"], *project["optional-dependencies"]["web"], sep="\n")' > dependencies.txt \
    && /opt/statesys/bin/pip install --no-cache-dir --disable-pip-version-check \
        --constraint constraints.txt --requirement dependencies.txt
COPY statesys.py README.md ./
COPY schemas schemas
COPY runtime runtime
COPY producers producers
COPY relay relay
COPY loader loader
COPY lab lab
COPY console console
COPY web web
RUN /opt/statesys/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.13-slim-bookworm
# Nothing in the image needs root, and only /data is written to (a fleet's store).
RUN useradd --system --uid 10001 --home-dir /data --create-home statesys
COPY --from=build /opt/statesys /opt/statesys
ENV PATH=/opt/statesys/bin:$PATH \
    PYTHONUNBUFFERED=1
USER statesys
WORKDIR /data
VOLUME /data
# SIGTERM is every command's order to stop: what it holds is settled first.
STOPSIGNAL SIGTERM
ENTRYPOINT ["statesys"]
CMD ["--help"]
