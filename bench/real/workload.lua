-- SPDX-License-Identifier: MIT
-- For lua: objects of many sizes and lives, strings put together and taken
-- apart, closures, coroutines. Argument: rounds.
local rounds = tonumber(arg[1]) or 100
local seed = 42

local function draw(below)
    seed = (seed * 16807) % 2147483647
    return seed % below
end

local function tree(depth)
    if depth == 0 then
        return { leaf = true, value = draw(1000) }
    end
    return { left = tree(depth - 1), right = tree(depth - 1) }
end

local function sum(node)
    if node.leaf then
        return node.value
    end
    return sum(node.left) + sum(node.right)
end

local kept, total = {}, 0
for round = 1, rounds do
    total = total + sum(tree(13))
    local words = {}
    for i = 1, 3000 do
        words[i] = "word" .. draw(100000) .. string.rep("x", draw(60))
    end
    table.sort(words)
    local count = {}
    for _, word in ipairs(words) do
        local stem = word:sub(1, 6)
        count[stem] = (count[stem] or 0) + 1
    end
    total = total + #table.concat(words, " ")
    local step = {}
    for i = 1, 500 do
        step[i] = coroutine.wrap(function(a)
            coroutine.yield(a + i)
            return #words[i]
        end)
    end
    for i = 1, 500 do
        total = total + step[i](round) + step[i]()
    end
    kept[draw(50)] = count
end
print(total)
