-- The settings of a site that come from a site control file.
--
-- Locks site and loader against everybody (ACCESS EXCLUSIVE) for some milliseconds: site has one
-- row, loader one for each loader at work. The other tables are not touched, whatever they hold.

-- Settings that are each loader's own; null unless they were imported.
ALTER TABLE site
    ADD COLUMN loader_threads integer CHECK (loader_threads BETWEEN 1 AND 64),
    ADD COLUMN loader_chunk_size integer CHECK (loader_chunk_size BETWEEN 1 AND 65536),
    ADD COLUMN max_chunks_fetched integer CHECK (max_chunks_fetched BETWEEN 1 AND 10000),
    -- Names of the columns whose values come from a site control file. A default of a loader that
    -- starts does not replace them.
    ADD COLUMN imported text[] NOT NULL DEFAULT '{}';

-- Names of the rules that a loader was given by a flag or a variable; null for a loader of an older
-- version, which did not tell.
ALTER TABLE loader ADD COLUMN given text[];

-- Operators, who may put a client into quarantine, may import.
SELECT grant_to_holders('INSERT', 'client_quarantine', 'UPDATE ON site');
