-- One exchange of a replica: carried out as a whole, or refused as a whole. See exchange.py for the words.
-- KEYS[1] members and records, KEYS[2] states; ARGV[1] the request, ARGV[2] the channel for news.
local cluster, states = KEYS[1], KEYS[2]
local request = cjson.decode(ARGV[1])

-- The run of this server and the history of its data. A server that forbids INFO tells neither.
local function said(section, field)
    local info = redis.pcall('INFO', section)
    return type(info) == 'string' and string.match(info, field .. ':(%w+)') or ''
end

-- What is written before an error stays written. So if another program uses the second key, fail before.
redis.call('HGET', states, '')
local time = redis.call('TIME')
local epoch = redis.call('HGET', cluster, 'epoch')
if not epoch then
    epoch = request.random
    redis.call('HSET', cluster, 'epoch', epoch)
end
local era = said('server', 'run_id') .. said('replication', 'master_replid') .. ':' .. epoch

local function why_refused()
    if request.era ~= era then return 'era' end
    local own = redis.call('HGET', cluster, 'm:' .. request.replica)
    if not own or own == request.replaces then return '' end
    local beat, incarnation = string.match(own, '^(%d+)|([^|]*)|')
    if incarnation ~= request.incarnation then return 'name' end
    return tonumber(beat) >= request.beat and 'late' or ''
end

local function get(field)
    return redis.call('HGET', cluster, field) or ''
end

-- Whether a record was changed so that the replica holds it now.
local function claimed(write)
    local field = 'o:' .. write.budget
    if get(field) ~= write.was then return false end
    if write.holder ~= '' and get('m:' .. write.holder) ~= write.member then return false end
    if write.release then
        redis.call('HSET', cluster, field, '||' .. string.match(write.was, '(%d+)$'))
        redis.call('HSET', states, write.budget, write.state)
        return false
    end
    local token = redis.call('HINCRBY', cluster, 'token', 1)
    redis.call('HSET', cluster, field, request.replica .. '|' .. request.incarnation .. '|' .. token)
    return true
end

local inherited = {}
local refusal = why_refused()
if refusal == '' then
    for name, entry in pairs(request.forget) do
        if get('m:' .. name) == entry then redis.call('HDEL', cluster, 'm:' .. name) end
    end
    if request.leave then
        redis.call('HDEL', cluster, 'm:' .. request.replica)
    else
        redis.call('HSET', cluster, 'm:' .. request.replica, request.entry)
    end
    for _, write in ipairs(request.writes) do
        if claimed(write) then
            local state = redis.call('HGET', states, write.budget)
            if state then
                table.insert(inherited, write.budget)
                table.insert(inherited, state)
            end
        end
    end
    for budget, state in pairs(request.states) do
        redis.call('HSET', states, budget, state)
    end
    if request.news then redis.call('PUBLISH', ARGV[2], request.replica) end
end
-- One text: a client takes long to read an answer of a thousand parts.
return cjson.encode({
    refusal = refusal,
    era = era,
    time = time[1] * 1000 + math.floor(time[2] / 1000),
    fields = redis.call('HGETALL', cluster),
    inherited = inherited,
})
