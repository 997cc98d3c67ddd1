-- Writes readings of one source, if the budget's record still is the writer's.
-- KEYS[1] members and records, KEYS[2] the source's rooms; ARGV: budget, record, channel (empty: nobody listens),
-- message, number of rooms to write, then pairs of room and reading, then rooms to delete.
local budget, record, channel, message, written = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
if redis.call('HGET', KEYS[1], 'o:' .. budget) ~= record then return 0 end

-- unpack takes some thousand values at a time
local function in_parts(command, first, last)
    for start = first, last, 2000 do
        redis.call(command, KEYS[2], unpack(ARGV, start, math.min(start + 1999, last)))
    end
end

in_parts('HSET', 6, 5 + 2 * written)
in_parts('HDEL', 6 + 2 * written, #ARGV)
if channel ~= '' then redis.call('PUBLISH', channel, message) end
return 1
